"""What a value should be, from the same weekday of the weeks before. Pure, NaN where nothing is.

Median and MAD (the median distance from the median, times 1.4826: a standard deviation that half
of all values may be wrong without moving). A mean and a standard deviation would learn from the
first bad week that the next one is usual.

Volume grows, so its expectation is a line through the logarithms: the median of the slopes between
all pairs of weeks (Theil-Sen), and through the median of what is left. With fewer than three weeks
there is no slope to trust, and it is a plain median.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from impressions.core.decay import Float, Int

MAD_TO_SIGMA = 1.4826
TREND_WEEKS = 3
RECENT_DAYS = 7
"""So many days right before a day are looked at beside the weeks."""
_STEEPEST = np.log(1.35)  # a week; more is a fault, not growth


@dataclass(frozen=True)
class Expected:
    """Of one shape each: the value, its spread, and how many values that rests on."""

    value: Float
    spread: Float
    weeks: Int


def weeks_before(history: Float, days: Int, weeks: int) -> Float:
    """(weeks, days, ...) the same weekday of so many weeks before these days, last week first."""
    return _before(history, days, 7 * np.arange(1, weeks + 1))


def days_before(history: Float, days: Int) -> Float:
    """(RECENT_DAYS, days, ...) what came right before these days."""
    return _before(history, days, np.arange(RECENT_DAYS, 0, -1))


def _before(history: Float, days: Int, steps: Int) -> Float:
    """NaN where there is no such day, and for the very first one, which is never history."""
    at = days - steps[:, None]
    found: Float = history[np.maximum(at, 0)]
    found[at < 1] = np.nan
    return found


def from_weeks(history: Float) -> Expected:
    """Of (weeks, ...) values: median and spread in their own unit."""
    value = median(history)
    return Expected(value, _mad(history - value), _counted(history))


def from_weeks_log(history: Float) -> Expected:
    """The same of values that are compared by their ratio: the spread is of logarithms."""
    logs = np.log(np.maximum(history, 1e-12))
    middle = median(logs)
    return Expected(median(history), _mad(logs - middle), _counted(history))


def with_trend(history: Float) -> Expected:
    """Of (weeks, ...) volumes, last week first: where the line goes this week."""
    logs = np.log(np.maximum(history, 0.5))
    logs[np.isnan(history)] = np.nan
    weeks = _counted(history)
    slope = np.where(weeks >= TREND_WEEKS, slope_of(logs[::-1]), 0.0)
    slope = np.clip(known(slope), -_STEEPEST, _STEEPEST)
    moved: Float = logs + slope * _along(np.arange(1.0, len(history) + 1), logs)
    value = median(moved)
    return Expected(np.exp(value), _mad(moved - value), weeks)


def slope_of(logs: Float) -> Float:
    """Median slope a step of (steps, ...) values, oldest first."""
    if len(logs) < 2:
        return np.full(logs.shape[1:], np.nan)
    first, second = np.array(list(combinations(range(len(logs)), 2))).T
    slopes: Float = (logs[second] - logs[first]) / _along(second - first, logs)
    return median(slopes)


def median(values: Float) -> Float:
    """Along the first axis, without NaN; NaN where there is nothing."""
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    ordered = np.sort(values, axis=0)  # NaN come last; numpy's own takes twenty times as long
    known = np.asarray((~np.isnan(ordered)).sum(axis=0))
    low = np.maximum(known - 1, 0) // 2
    high = np.minimum(known // 2, np.maximum(known - 1, 0))
    flat = ordered.reshape(len(ordered), -1)
    column = np.arange(flat.shape[1])
    at = [flat[place.reshape(-1), column].reshape(known.shape) for place in (low, high)]
    return np.where(known > 0, (at[0] + at[1]) / 2, np.nan)


def known(values: Float, otherwise: float = 0.0) -> Float:
    """The same with a number for NaN."""
    return np.where(np.isnan(values), otherwise, values)


def _along(numbers: np.ndarray, values: Float) -> np.ndarray:
    """(n,) numbers as one for each along the first axis of `values`."""
    return numbers.reshape(-1, *[1] * (values.ndim - 1))


def _mad(distances: Float) -> Float:
    return known(median(np.abs(distances))) * MAD_TO_SIGMA


def _counted(history: Float) -> Int:
    return np.asarray((~np.isnan(history)).sum(axis=0))

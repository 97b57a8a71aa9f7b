"""Questions to several parts at once, none of which may keep the others waiting.

A part that is not there, refuses or does not answer in time becomes an `Unknown`, which says why in
one line. The answers that did come are not lost for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from impressions.clock import monotonic_s
from impressions.core.errors import CorruptData, ImpressionsError, NotReady
from impressions.process.catalog_errors import as_catalog_error
from impressions.process.extras import missing


@dataclass(frozen=True)
class Unknown:
    """What could not be asked.

    Attributes:
        absent: it was never started or made, which is no fault.
        damaged: it answered with bytes that are not what they should be.
        late: it has not answered yet, and its thread may hang for long.
    """

    because: str
    hint: str | None = None
    absent: bool = False
    damaged: bool = False
    late: bool = False


class Absent(Exception):
    """Raised by a question about what does not exist yet; `hint` is the line that makes it."""

    def __init__(self, because: str, hint: str | None = None) -> None:
        super().__init__(because)
        self.because, self.hint = because, hint


def ask(question: Callable[[], Any]) -> Any:
    """The answer, or an `Unknown`."""
    try:
        return question()
    except Absent as error:
        return Unknown(error.because, error.hint, absent=True)
    except ImpressionsError as error:
        return _unknown(error)
    except ModuleNotFoundError as error:  # this machine has no part in what it would ask
        if (absent := missing(error)) is None:
            return Unknown(_one_line(f"{type(error).__name__}: {error}"))
        return Unknown(_one_line(absent.message), absent.hint, absent=True)
    except Exception as error:  # whatever a library raises is the answer of that one part
        if (known := as_catalog_error(error)) is not None:
            return _unknown(known)
        return Unknown(_one_line(f"{type(error).__name__}: {error}"))


def ask_all(
    questions: Mapping[str, Callable[[], Any]],
    timeout_s: float,
    unfinished: dict[str, threading.Thread] | None = None,
) -> dict[str, Any]:
    """The answers by name; those that are not there after `timeout_s` are `Unknown`.

    Args:
        unfinished: for who asks again and again: threads by name, kept here. A question whose
            thread still hangs is late again and gets no second one.
    """
    unfinished = {} if unfinished is None else unfinished
    late = Unknown(f"no answer within {timeout_s:.0f} s", late=True)
    answers: dict[str, Any] = dict.fromkeys(questions, late)

    def put(name: str) -> None:
        answers[name] = ask(questions[name])

    free = [name for name in questions if name not in unfinished]
    threads = {n: threading.Thread(target=put, args=(n,), daemon=True) for n in free}
    for thread in threads.values():
        thread.start()
    deadline_s = monotonic_s() + timeout_s
    for thread in threads.values():
        thread.join(max(0.0, deadline_s - monotonic_s()))
    for name, thread in {**unfinished, **threads}.items():
        if thread.is_alive():
            unfinished[name] = thread
        else:
            unfinished.pop(name, None)
    return dict(answers)


def _unknown(error: ImpressionsError) -> Unknown:
    absent, damaged = isinstance(error, NotReady), isinstance(error, CorruptData)
    return Unknown(_one_line(error.message), error.hint, absent, damaged)


def _one_line(text: str) -> str:
    return " ".join(text.split())

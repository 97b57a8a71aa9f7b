"""Retries of reads from the storage.

Object stores fail for moments: 5xx, resets, short reads. pyarrow raises OSError for all of these. A
file that does not exist, or that we may not read, is not retried.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from impressions.core.errors import ServiceError

T = TypeVar("T")

PAUSES_S = (0.2, 1.0, 3.0)
"""Pauses before the second and later attempts, on top of what a filesystem's client does itself."""

_FINAL = (PermissionError, IsADirectoryError, NotADirectoryError)


def retrying(what: str, action: Callable[[], T], pause: Callable[[float], None] = time.sleep) -> T:
    """The result of `action`, tried up to 1 + len(PAUSES_S) times.

    Raises:
        FileNotFoundError: at once; the caller decides what it means.
        ServiceError: reason `storage`; access is denied, or every attempt failed.
    """
    for attempt, pause_s in enumerate((*PAUSES_S, None), 1):
        try:
            return action()
        except FileNotFoundError:
            raise
        except OSError as error:
            if pause_s is None or isinstance(error, _FINAL):
                raise _storage_error(what, attempt, error) from error
            pause(pause_s)
    raise AssertionError("the last attempt returns or raises")


def _storage_error(what: str, attempts: int, error: OSError) -> ServiceError:
    tried = f" in {attempts} attempts, last with" if attempts > 1 else ""
    return ServiceError(
        f"{what}: failed{tried}: {error}",
        hint="check the storage and its credentials, then run the same line again",
        reason="storage",
    )

"""How large the fault tests are: small enough for every run, or as large as the documents state.

IMPRESSIONS_FAULTS=full    the sizes whose figures stand in docs/reliability.md
"""

from __future__ import annotations

import os


def scaled(small: int, full: int) -> int:
    """`small`, unless the environment asks for the full size."""
    return full if os.environ.get("IMPRESSIONS_FAULTS") == "full" else small

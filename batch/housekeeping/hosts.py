"""What this home's serving host answers from, and what it would roll back to.

Other hosts are not known here: they have their own copy of each generation they loaded, and
`bulkload gc` looks after those.
"""

from __future__ import annotations

from impressions.core.errors import ImpressionsError, Refused
from impressions.formats.generation_paths import HostPaths
from impressions.formats.pointer import Pointer
from impressions.settings.model import Settings


def in_use(settings: Settings) -> frozenset[str]:
    """Names of generations; none where no host was ever activated.

    Raises:
        Refused: the pointer cannot be read, so what is in use is not known.
    """
    path = HostPaths(settings.host_dir).current
    try:
        pointer = Pointer.decode(path.read_bytes())
    except FileNotFoundError:
        return frozenset()
    except (OSError, ImpressionsError) as error:
        raise Refused(
            f"{path}: {error}, so it is not known which generations this host uses",
            hint="impressions bulkload status says how to repair it",
            reason="pointer_unreadable",
        ) from error
    return frozenset(name for name in (pointer.generation, pointer.previous) if name)

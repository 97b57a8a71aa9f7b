"""The options of `impressions land` for the topic."""

from __future__ import annotations

from typing import Annotated

import typer

Once = Annotated[bool, typer.Option("--once", help="One round, then exit; so by default.")]
Every = Annotated[
    str | None,
    typer.Option("--every", metavar="1h", help="A round every 30s, 15m, 1h ... until SIGTERM."),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="DATE",
        help="Land nothing that is ingested from this date on; with --every, end once raw is valid "
        "through it.",
    ),
]
Partitions = Annotated[
    str | None,
    typer.Option(
        "--partitions",
        metavar="0-3,7",
        help="Land only these partitions; other landers land the others.",
    ),
]
AcceptLoss = Annotated[
    bool,
    typer.Option(
        "--accept-loss",
        help="Give up what cannot be landed any more, instead of stopping: records that the topic "
        "has deleted, records that bear their producer's time, rows that were deleted from raw, "
        "also those of imported files. They are lost: no generation computed from then on counts "
        "them. The commit says which.",
    ),
]

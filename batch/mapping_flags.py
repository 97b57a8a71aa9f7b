"""The flags that say how a file's columns map: the same for the import and for the replay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="TARGET=COLUMN[:UNIT]", help="One column; repeatable."),
]
MappingFile = Annotated[
    Path | None, typer.Option("--mapping", metavar="FILE.toml", help="The mapping as a file.")
]
IngestTime = Annotated[
    str | None,
    typer.Option("--ingest-time", metavar="event", help="The files have none: use event time."),
]

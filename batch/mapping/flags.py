"""The flags that say how a file's columns map: the same for the import and for the replay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="TARGET=COLUMN[:UNIT]", help="Which column holds a field; repeatable."
    ),
]
MappingFile = Annotated[
    Path | None, typer.Option("--mapping", metavar="FILE.toml", help="The mapping as a file.")
]
IngestTime = Annotated[
    str | None,
    typer.Option(
        "--ingest-time", metavar="event", help="The files have no ingest time: use event time."
    ),
]
Separator = Annotated[
    str | None,
    typer.Option(
        metavar="CHAR", help="What separates the fields of a CSV.", show_default="by its name"
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of text files: latin-1, utf-16, ...", show_default="utf-8"),
]
NoHeader = Annotated[
    bool, typer.Option("--no-header", help="The CSV has no header: its columns are 1, 2, ...")
]
Timezone = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Time zone of times that name none.", show_default="UTC"),
]
Location = Annotated[
    list[str] | None,
    typer.Option(
        "--location",
        metavar="TEXT=NUMBER",
        help="The number of a location given by name; repeatable.",
    ),
]

"""The options of `impressions land` for files."""

from __future__ import annotations

from typing import Annotated

import typer

Files = Annotated[
    list[str] | None,
    typer.Option(
        "--from-files",
        metavar="PATH",
        help="Parquet, CSV, TSV or JSON lines: file, directory or glob; repeatable.",
    ),
]
More = Annotated[list[str] | None, typer.Argument(metavar="[PATH]...", help="Further paths.")]
ValidThrough = Annotated[
    str | None,
    typer.Option(
        "--valid-through",
        metavar="DATE",
        help="State that everything ingested before this date has been imported. What is "
        "imported for it later is missing from generations that were computed before.",
        show_default="the slot after the newest row",
    ),
]
Yes = Annotated[
    bool,
    typer.Option(
        "--yes",
        help="Import although most of a file's first rows are rejected: no answer counts rejected "
        "rows; impressions.rejected keeps them with the reason.",
    ),
]
Forget = Annotated[
    list[str] | None,
    typer.Option(
        "--forget",
        metavar="FILE|SOURCE",
        help="Undo an import: all rows of this file are deleted from raw and from rejected, and "
        "count nowhere from the next generation on. Duplicates are decided again. To get the rows "
        "back, import the file again.",
    ),
]

"""A verb of the command line: settings in, errors out.

A verb is a plain function in a file of its own. `@verb` gives it `--config` and `--set`, hands it
the settings they make and lets it open as many files as the system allows; `run` makes the same
function a program, for `spark-submit file.py` and `python -m`. Whatever is raised ends here, in
this order:

    ImpressionsError          its exit code; "error: ... / hint: ..." on stderr
    a catalog that is away    exit 8, or 4 where it is damaged (catalog_errors.py)
    a missing extra           exit 3 and the install line
    wrong usage               exit 2
    Ctrl-C                    exit 130
    anything else             exit 1; the traceback only with IMPRESSIONS_DEBUG=1

Under `--json` the error is one JSON object on stdout instead: a program that asked for JSON reads
there. A verb that is a job (`@verb(job="close")`) leaves a record of each run (recording.py).
"""

from __future__ import annotations

import functools
import inspect
import json as jsonlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, overload

import typer

from impressions.core.errors import ImpressionsError, UsageError
from impressions.process import lifetime
from impressions.process.descriptors import raise_limit

if TYPE_CHECKING:
    from impressions.settings.model import Settings

# prometheus_client reads these once, when it is imported, and would then write the metrics of every
# process into a directory of another program; processes of ours are distinguished by themselves.
for _name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
    os.environ.pop(_name, None)

# The flags that all verbs spell alike.
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
_Config = Annotated[
    Path | None, typer.Option("--config", help="Settings file.", show_default="impressions.toml")
]
_Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting; repeatable.")
]


@dataclass
class Invocation:
    """What stood before the verb: `impressions --config FILE --set KEY=VALUE <verb>`."""

    config: Path | None = None
    overrides: tuple[str, ...] = ()


_Verb = Callable[..., None]


@overload
def verb(function: _Verb) -> _Verb: ...
@overload
def verb(*, job: str) -> Callable[[_Verb], _Verb]: ...
def verb(
    function: _Verb | None = None, *, job: str | None = None
) -> _Verb | Callable[[_Verb], _Verb]:
    """Gives a function that takes `settings` the options `--config` and `--set`.

    Typer sees the function's own parameters (after `settings`) and those two. A direct call with
    `settings=` reaches the function unchanged, so a test needs no command line.

    Args:
        job: the name under which its runs are recorded; None for what is no job.
    """
    if function is None:
        return lambda f: _verb(f, job)
    return _verb(function, job)


def _verb(function: _Verb, job: str | None) -> _Verb:
    signature = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def from_command_line(**arguments: Any) -> None:
        if "settings" in arguments:
            return function(**arguments)
        context: typer.Context = arguments.pop("ctx")
        config: Path | None = arguments.pop("config")
        overrides: list[str] = arguments.pop("set_") or []
        raise_limit()
        settings = _settings(context, config, overrides)
        if job is None or arguments.get("dry_run"):
            return function(settings=settings, **arguments)
        from impressions.process.recording import recorded  # late: a service waits for its imports

        with recorded(settings, job, _given(arguments)):
            return function(settings=settings, **arguments)

    own = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for p in signature.parameters.values()
        if p.name != "settings"
    ]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, default, kind in (
            ("ctx", inspect.Parameter.empty, typer.Context),
            ("config", None, _Config),
            ("set_", None, _Set),
        )
    ]
    from_command_line.__dict__["__signature__"] = inspect.Signature([*own, *shared])
    from_command_line.__annotations__ = {p.name: p.annotation for p in [*own, *shared]}
    return from_command_line


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    """What the command line said of the job; its defaults, and how to print, are left out."""
    return {
        name.rstrip("_"): value
        for name, value in arguments.items()
        if name != "json" and value not in (None, False, [])
    }


def new_app(**options: Any) -> typer.Typer:
    """An empty Typer app with this project's manners; `@app.command()` goes above `@verb`."""
    return typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, **options)


def as_app(function: Callable[..., None], name: str | None = None) -> typer.Typer:
    """A Typer app that is this one verb."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name)(function)
    return app


def run(function: Callable[..., None], *, service: bool = False) -> NoReturn:
    """Runs one verb as the whole program: the last line of a file that is spark-submitted.

    Args:
        service: see `lifetime.begin`.
    """
    lifetime.begin(service=service)
    lifetime.leave(main(as_app(function), sys.argv[1:], prog=Path(sys.argv[0]).name))


def main(app: typer.Typer, argv: Sequence[str], prog: str) -> int:
    """Runs an app and returns the exit code; prints errors, lets none out."""
    as_json = "--json" in argv
    try:
        code = app(args=list(argv), prog_name=prog, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except ImpressionsError as error:
        return report(error, as_json)
    except typer.TyperException as error:
        return _report_usage(error, as_json)
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # every verb ends with a message and an exit code
        return report(error, as_json)


def show_where(error: Exception, known: ImpressionsError) -> None:
    """The traceback of a defect, where somebody asked for it."""
    if known.reason == "unexpected" and os.environ.get("IMPRESSIONS_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error)


def report(error: Exception, as_json: bool) -> int:
    """Prints an error the way a person or a program wants it; returns its exit code."""
    from impressions.process.recording import known_error, notes_of  # late, as above

    known = known_error(error)
    show_where(error, known)
    if as_json:
        notes = notes_of(error)
        print(jsonlib.dumps(known.as_dict() | ({"notes": notes} if notes else {})), flush=True)
        return known.exit_code
    print(f"error: {known.message}", file=sys.stderr)
    if known.hint:
        print(f"hint:  {known.hint}", file=sys.stderr)
    for note in notes_of(error):
        print(f"note:  {note}", file=sys.stderr)
    return known.exit_code


def _report_usage(error: typer.TyperException, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        return error.exit_code
    where = context.command_path if context is not None else "the command"
    return report(UsageError(error.format_message(), hint=f"{where} --help"), as_json)


def _settings(context: typer.Context, config: Path | None, overrides: Sequence[str]) -> Settings:
    from impressions.settings.model import load  # late: `--help` needs no settings

    before = context.obj if isinstance(context.obj, Invocation) else Invocation()
    return load(config or before.config, [*before.overrides, *overrides])

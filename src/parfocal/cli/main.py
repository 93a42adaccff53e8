"""The ``parfocal`` command: verbs, exit status and errors in one line."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Annotated

import typer
from typer.main import get_command

from parfocal import __version__
from parfocal.cli import (
    benchmark,
    demo,
    doctor,
    drive,
    models,
    predict,
    refocus,
    score,
    segment,
    simulate,
    train,
)
from parfocal.cli.exits import CALL_IS_WRONG, DONE, INTERRUPTED, SOME_FAILED, CallError
from parfocal.cli.printable import printable
from parfocal.core.errors import ParfocalError
from parfocal.core.memory import keep_freed_memory

# Its base holds every wrong use of options, in typer with its own copy of click and without.
USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="parfocal",
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Keep a microscope in focus: say where a focal stack is sharp, and how sure that is.",
    epilog="Exit status: 0 done, 1 some inputs could not be processed, 2 the call is wrong.",
)
app.command("score")(score.score)
app.command("predict")(predict.predict)
app.command("refocus")(refocus.refocus)
app.command("segment")(segment.segment)
app.command("simulate")(simulate.simulate)
app.command("drive")(drive.drive)
app.command("train")(train.train)
app.add_typer(benchmark.benchmark)
app.add_typer(models.models)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)


def _print_version(asked: bool | None) -> None:
    if asked:
        typer.echo(f"parfocal {__version__}")
        raise typer.Exit(DONE)


@app.callback()
def _parfocal(
    version: Annotated[
        bool | None,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = None,
) -> None:
    pass


def _complain(text: str) -> None:
    sys.stderr.write(f"parfocal: {printable(' '.join(text.split()))}\n")


def _unexpected(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say one line about a fault of the program itself."""
    del trace
    _complain(
        f"unexpected {kind.__name__}: {error}; "
        "run again with --debug for the traceback and report it."
    )


def _usage_text(error: Exception) -> str:
    text = str(getattr(error, "format_message", error.__str__)()) or "give a command"
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "parfocal"
    return f"{text.rstrip('.')}. See: {path} --help"


def run(arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run one command and return its exit status; errors are one line on stderr."""
    try:
        # Not `app(...)`, which puts typer's own hook in place of `_unexpected`.
        command = get_command(app)
        status = command(list(arguments), prog_name="parfocal", standalone_mode=False)
    except KeyboardInterrupt:
        _complain("stopped; what was not finished was not written.")
        return INTERRUPTED
    except typer.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; point it elsewhere so that Python's exit is silent.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED
    except (CallError, USAGE_ERROR) as error:
        if debug:
            traceback.print_exc()
        _complain(str(error) if isinstance(error, ParfocalError) else _usage_text(error))
        return CALL_IS_WRONG
    except (ParfocalError, OSError) as error:
        if debug:
            traceback.print_exc()
        _complain(str(error))
        return SOME_FAILED
    if status == INTERRUPTED:  # typer turns an interrupt into this status by itself
        _complain("stopped; what was not finished was not written.")
    return int(status or DONE)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``parfocal`` command; always leaves by ``SystemExit``."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    # Threads of torch that wait by spinning take the other cores' time: on a busy machine half.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    if not debug:
        sys.excepthook = _unexpected
    sys.exit(run(given or ["--help"], debug=debug))


if __name__ == "__main__":
    main()

"""``parfocal doctor``: what is installed, what is missing, and whether it works."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> int:
    """Say what is installed, what each missing extra would add, and whether scoring works."""
    del debug  # read by main
    import json

    from parfocal.cli.exits import DONE, SOME_FAILED
    from parfocal.cli.health import examine, health_text

    health = examine()
    typer.echo(json.dumps(health, indent=2) if as_json else health_text(health))
    return DONE if health["self_test"]["passed"] else SOME_FAILED

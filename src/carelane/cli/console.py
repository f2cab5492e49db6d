"""How commands print and end: tables for people, JSON for scripts, exit codes for both."""

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, NoReturn, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from carelane.domain.errors import CarelaneError, Misconfigured, Rejected, Unavailable

OK, FAILED, USAGE, UNAVAILABLE, REFUSED = 0, 1, 2, 3, 4
"""Exit codes: 0 done · 1 failed · 2 wrong use or settings · 3 the hub or database is away · 4 a message was refused."""

OUT = Console()
ERR = Console(stderr=True, highlight=False)

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's work; errors of ours become one line and an exit code."""
    try:
        if sys.platform != "win32":
            import uvloop  # noqa: PLC0415  (a heavy import that --help does without)

            return uvloop.run(work)
        return asyncio.run(work)
    except CarelaneError as error:
        stop(error)
    except ValueError as error:
        ERR.print(f"[red]Error:[/red] {error}", soft_wrap=True)
        raise typer.Exit(USAGE) from None


def stop(error: CarelaneError) -> NoReturn:
    """Print an error and leave."""
    pointer = error.pointer if isinstance(error, Rejected) else ""
    ERR.print(f"[red]Error:[/red] {error}" + (f"\n{pointer}" if pointer else ""), soft_wrap=True)
    code = USAGE if isinstance(error, Misconfigured) else UNAVAILABLE if isinstance(error, Unavailable) else FAILED
    raise typer.Exit(code) from None


def print_json(value: Any) -> None:
    """Print JSON to standard output."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str).decode() + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print a table, or what to do when there is nothing in it."""
    if not rows:
        OUT.print(empty)
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    OUT.print(table)

"""``carelane coverage``: the scores of the HL7 v2 maps over a folder of messages."""

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from carelane.cli.console import ERR, FAILED, OUT, USAGE


def coverage(
    samples: Annotated[Path, typer.Argument(help="A file or folder of HL7 v2 messages; sub-folders are read too.")],
    family: Annotated[str, typer.Option("--family", help="Only this message code, such as ADT.")] = "",
    tables: Annotated[Path | None, typer.Option("--tables", help="The folder of HL7's v2-to-FHIR tables (CSV), to be judged by them.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    least: Annotated[Path | None, typer.Option("--least", help="A JSON file of least scores by family; exit code 1 when one is lower.")] = None,
) -> None:
    """Score what the maps carry of your messages, what comes back, what is valid, and where HL7's own tables agree.

    C1 table rows implemented and proven · C2 leaves carried · C3 leaves that come back · C4 valid documents and bundles ·
    C5 codes translated · C6 triggers defined. Nothing of a message is printed.
    """
    from carelane.ops.coverage import score  # noqa: PLC0415
    from carelane.plugins import FormatShelf  # noqa: PLC0415

    words = FormatShelf()["hl7v2"]
    files = (
        sorted(path for path in samples.rglob("*") if path.is_file() and path.suffix not in (".json", ".tsv", ".csv", ".md")) if samples.is_dir() else [samples]
    )
    if not files or not files[0].exists():
        ERR.print(f"[red]Error:[/red] {samples} holds no files")
        raise typer.Exit(USAGE)
    found = [one.as_json() for one in score((part for path in files for part in words.split(path.read_bytes())), family, tables)]
    if json:
        OUT.print_json(orjson.dumps(found).decode())
    else:
        _print(found)
    if least is not None:
        _compare(found, orjson.loads(least.read_bytes()))


_AT_ONCE = 6
"""Families side by side; more would not fit a terminal of 80 columns."""


def _print(found: list[dict[str, Any]]) -> None:
    """A line for each score, a column for each family; numbers are percentages."""
    for first in range(0, len(found), _AT_ONCE):
        some = found[first : first + _AT_ONCE]
        table = Table("Score", *(str(one["family"]) for one in some))
        for name in (key for key in some[0] if key != "family"):
            table.add_row(name, *("" if one[name] is None else f"{one[name]:g}" for one in some))
        OUT.print(table)


def _compare(found: list[dict[str, Any]], least: dict[str, dict[str, float]]) -> None:
    lower = [
        f"{one['family']}: {name} is {one[name]}, at least {wanted} is expected"
        for one in found
        for name, wanted in least.get(str(one["family"]), {}).items()
        if one[name] is not None and one[name] < wanted
    ]
    for line in lower:
        ERR.print(line, markup=False)
    if lower:
        raise typer.Exit(FAILED)

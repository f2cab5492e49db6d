"""``carelane explain``: which row, from which field, made each value of a converted message."""

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table

from carelane.cli.console import ERR, FAILED, OUT, USAGE
from carelane.cli.convert import checked_overlay
from carelane.domain.errors import CarelaneError
from carelane.domain.message import Leftovers


def explain(
    source: Annotated[Path, typer.Argument(help="A file with an HL7 v2 message.")],
    path: Annotated[str, typer.Option("--path", help="Only values at or under this path, such as Patient.Demographics.Sex.")] = "",
    overlay: Annotated[Path | None, typer.Option("--overlay", help="An overlay file with your changes to a built-in map.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say why each value is what it is: its field, the row that read it, the table entry, the overlay; and which fields were not used.

    Values are printed to your own screen only. Exit code 1 when the message has no document or nothing stands at the path.
    """
    from carelane.plugins import FormatShelf  # noqa: PLC0415

    words = FormatShelf()["hl7v2"]
    try:
        settings = {"overlay": checked_overlay(overlay)} if overlay else {}
        raw = source.read_bytes()
    except (CarelaneError, OSError) as error:
        ERR.print(f"[red]Error:[/red] {error}")
        raise typer.Exit(USAGE) from None
    try:
        found = [
            (one, reasons)
            for part in words.split(raw)
            for one, reasons in zip(words.read(part, settings, Leftovers.CARRY), words.explain(part, settings), strict=True)
        ]
    except CarelaneError as error:
        ERR.print(f"[red]Error:[/red] {error}")
        raise typer.Exit(FAILED) from None
    plain = path.replace("[*]", "")
    shown = [(one, [reason for reason in reasons if _under(reason.target.replace("[*]", ""), plain)]) for one, reasons in found]
    if json:
        members = ("target", "source", "row", "pack", "how", "overlay", "value")
        body = [
            {"values": [{name: getattr(reason, name) for name in members} for reason in reasons], "notUsed": one.unmapped if not path else []}
            for one, reasons in shown
        ]
        OUT.print_json(orjson.dumps(body, default=str).decode())
    else:
        for one, reasons in shown:
            table = Table("Value", "Is", "From", "Row", "How", title=f"{len(reasons)} values")
            for reason in reasons:
                how = reason.how + (f" (changed by {reason.overlay})" if reason.overlay else "")
                table.add_row(reason.target, str(reason.value)[:60], reason.source, f"{reason.row} ({reason.pack})", how)
            OUT.print(table)
            if not path and one.unmapped:
                OUT.print("Not used: " + ", ".join(one.unmapped), soft_wrap=True, markup=False)
    if not any(reasons for _, reasons in shown):
        ERR.print(f"Nothing stands at {path}." if path else "No row delivered anything.", markup=False)
        raise typer.Exit(FAILED)


def _under(target: str, path: str) -> bool:
    return not path or target == path or target.startswith(path + ".")

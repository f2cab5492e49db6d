"""``carelane convert``: between formats, without a hub: JSON, FHIR or HL7 on stdout, issues on stderr."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from carelane.cli.console import ERR, FAILED, OK, USAGE
from carelane.domain.errors import CarelaneError
from carelane.domain.message import NOWHERE, Converted, Issue, Leftovers, Origin

if TYPE_CHECKING:
    from carelane.exchange.ports import Format

_ENDINGS = {"datamodel": ".json", "hl7v2": ".hl7", "fhir": ".fhir.json"}


@dataclass
class _Result:
    """What one file gave: the texts, what was reported, and why something could not be converted."""

    outputs: list[bytes] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def convert(
    source: Annotated[Path, typer.Argument(help="A file, a folder, or - for standard input.")],
    from_: Annotated[str, typer.Option("--from", help="Format of the input: hl7v2, datamodel or fhir.")] = "hl7v2",
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="Format of the output: datamodel, hl7v2 or fhir. The same as the input reads and writes: what a round trip by way of the document keeps.",
        ),
    ] = "datamodel",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the results of a folder, one file each.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not print issues.")] = False,
    leftovers: Annotated[
        str, typer.Option("--leftovers", help="carry: fields no map asks for travel in Meta.Extensions; drop: they are listed only, as a destination gets it.")
    ] = "carry",
    overlay: Annotated[Path | None, typer.Option("--overlay", help="An overlay file with your changes to a built-in map.")] = None,
    bundle: Annotated[str, typer.Option("--bundle", help="Kind of FHIR bundle: message, transaction or collection.")] = "message",
) -> None:
    """Convert messages between formats, with today's maps.

    Issues and paths nobody mapped go to standard error, never values. Exit code 1 when a message could not be converted.
    """
    from carelane.plugins import FormatShelf  # noqa: PLC0415

    shelf = FormatShelf()
    try:
        reader, writer = shelf[from_], shelf[to]
    except CarelaneError as error:
        ERR.print(f"[red]Error:[/red] {error}")
        raise typer.Exit(USAGE) from None
    try:
        settings = {"leftovers": leftovers, "bundle": bundle, **({"overlay": checked_overlay(overlay)} if overlay else {})}
    except CarelaneError as error:
        ERR.print(f"[red]Error:[/red] {error}")
        raise typer.Exit(USAGE) from None
    work = _Work(reader, writer, settings, Leftovers.CARRY if leftovers == "carry" else Leftovers.NONE)
    if source.is_dir():
        raise typer.Exit(_folder(source, out, work, ending=_ENDINGS.get(to, ".txt")))
    try:
        raw = sys.stdin.buffer.read() if str(source) == "-" else source.read_bytes()
    except OSError as error:
        ERR.print(f"[red]Error:[/red] {source}: {error.strerror}")
        raise typer.Exit(USAGE) from None
    result = _convert(raw, work)
    stdout = sys.stdout.buffer
    json = to != "hl7v2"
    stdout.write((b"\n" if json else b"").join(result.outputs) + (b"\n" if json and result.outputs else b""))
    stdout.flush()
    if not quiet:
        _report(str(source), result)
    raise typer.Exit(FAILED if result.failures else OK)


@dataclass(frozen=True)
class _Work:
    """What to do with each file."""

    reader: "Format"
    writer: "Format"
    settings: dict[str, str]
    leftovers: Leftovers


def checked_overlay(path: Path) -> str:
    """Return an overlay file's text, checked against the packs it is for; raises ``PackBroken``."""
    from carelane.formats.hl7v2.overlays import check_overlay  # noqa: PLC0415
    from carelane.mapping.overlay import read_text  # noqa: PLC0415

    text = read_text(path)
    check_overlay(text)
    return text


def _convert(raw: bytes, work: _Work) -> _Result:
    result = _Result()
    parts = work.reader.split(raw)
    for number, part in enumerate(parts):
        try:
            outputs = [_write(one, work, f"{number + 1}", result) for one in work.reader.read(part, work.settings, work.leftovers)]
            result.outputs += _one_bundle(outputs) if work.writer.content_type == "application/fhir+json" else outputs
        except CarelaneError as error:
            result.failures.append(f"message {number + 1}: {error}")
    return result


def _one_bundle(outputs: list[bytes]) -> list[bytes]:
    """A message of several documents is one Bundle: each resource once, and one header that names what all of them are about."""
    if len(outputs) < 2:
        return outputs
    first, *rest = [orjson.loads(one) for one in outputs]
    entries = first.setdefault("entry", [])
    known = {entry["fullUrl"] for entry in entries}
    header: dict[str, Any] = next((entry["resource"] for entry in entries if entry["resource"]["resourceType"] == "MessageHeader"), {})
    for entry in (entry for one in rest for entry in one.get("entry", [])):
        resource = entry["resource"]
        if resource["resourceType"] == "MessageHeader":
            focus = header.setdefault("focus", [])
            focus += [link for link in resource.get("focus", []) if link not in focus]
        elif entry["fullUrl"] not in known:
            known.add(entry["fullUrl"])
            entries.append(entry)
    return [orjson.dumps(first, option=orjson.OPT_INDENT_2)]


def _write(one: Converted, work: _Work, number: str, result: _Result) -> bytes:
    origin = Origin(parsed=one.parsed) if work.leftovers is Leftovers.CARRY else NOWHERE
    body, issues = work.writer.write(one.document, work.settings, number, origin)
    if work.writer.content_type != "x-application/hl7-v2+er7":
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
    result.issues += [*one.issues, *issues]
    result.unmapped += one.unmapped
    return body


def _folder(source: Path, out: Path | None, work: _Work, *, ending: str) -> int:
    from rich.progress import track  # noqa: PLC0415

    if out is None:
        ERR.print("[red]Error:[/red] a folder needs --out DIR for its results")
        return USAGE
    files = sorted(path for path in source.rglob("*") if path.is_file())
    failed = 0
    for path in track(files, description="Converting", console=ERR, transient=True):
        result = _convert(path.read_bytes(), work)
        target = out / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        for number, output in enumerate(result.outputs):
            name = target.name + (f".{number + 1}" if len(result.outputs) > 1 else "") + ending
            target.with_name(name).write_bytes(output)
        report = {"issues": [issue.as_json() for issue in result.issues], "unmapped": result.unmapped, "failures": result.failures}
        target.with_name(target.name + ".issues.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
        failed += bool(result.failures)
    ERR.print(f"{len(files)} files, {len(files) - failed} converted, {failed} not; the reasons are in the .issues.json files in {out}")
    return FAILED if failed else OK


def _report(name: str, result: _Result) -> None:
    for issue in result.issues:
        where = issue.source or issue.target
        ERR.print(
            f"{name}: {issue.severity}: {issue.code} {where}" + (f" (row {issue.row})" if issue.row else "") + (f": {issue.text}" if issue.text else ""),
            soft_wrap=True,
            markup=False,
        )
    if result.unmapped:
        ERR.print(f"{name}: information: not mapped: {', '.join(dict.fromkeys(result.unmapped))}", soft_wrap=True, markup=False)
    for reason in result.failures:
        ERR.print(f"{name}: error: {reason}", soft_wrap=True, markup=False)

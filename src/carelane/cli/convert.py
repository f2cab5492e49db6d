"""``carelane convert``: between formats, without a hub: JSON or HL7 on stdout, issues on stderr."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import orjson
import typer

from carelane.cli.console import ERR, FAILED, OK, USAGE
from carelane.domain.errors import CarelaneError
from carelane.domain.message import Converted, Issue
from carelane.exchange.ports import Format

_ENDINGS = {"datamodel": ".json", "hl7v2": ".hl7"}


@dataclass
class _Result:
    """What one file gave: the texts, what was reported, and why something could not be converted."""

    outputs: list[bytes] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def convert(
    source: Annotated[Path, typer.Argument(help="A file, a folder, or - for standard input.")],
    from_: Annotated[str, typer.Option("--from", help="Format of the input: hl7v2 or datamodel.")] = "hl7v2",
    to: Annotated[str, typer.Option("--to", help="Format of the output: datamodel or hl7v2. The same as the input prints the bytes back.")] = "datamodel",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the results of a folder, one file each.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not print issues.")] = False,
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
    if source.is_dir():
        raise typer.Exit(_folder(source, out, reader, writer, same=from_ == to, ending=_ENDINGS.get(to, ".txt")))
    try:
        raw = sys.stdin.buffer.read() if str(source) == "-" else source.read_bytes()
    except OSError as error:
        ERR.print(f"[red]Error:[/red] {source}: {error.strerror}")
        raise typer.Exit(USAGE) from None
    result = _convert(raw, reader, writer, same=from_ == to)
    stdout = sys.stdout.buffer
    joiner = b"\n" if to == "datamodel" else b""
    stdout.write(joiner.join(result.outputs) + (b"\n" if to == "datamodel" and result.outputs else b""))
    stdout.flush()
    if not quiet:
        _report(str(source), result)
    raise typer.Exit(FAILED if result.failures else OK)


def _convert(raw: bytes, reader: Format, writer: Format, *, same: bool) -> _Result:
    result = _Result()
    parts = reader.split(raw)
    if same and len(parts) == 1:
        return _same(raw, reader, result)
    for number, part in enumerate(parts):
        try:
            if same:
                reader.peek(part, {})
                result.outputs.append(part)
                continue
            for one in reader.read(part, {}):
                _write(one, writer, f"{number + 1}", result)
        except CarelaneError as error:
            result.failures.append(f"message {number + 1}: {error}")
    return result


def _same(raw: bytes, reader: Format, result: _Result) -> _Result:
    """A round trip proves that reading loses nothing: the bytes come back as they were."""
    try:
        reader.peek(raw, {})
        result.outputs.append(raw)
    except CarelaneError as error:
        result.failures.append(str(error))
    return result


def _write(one: Converted, writer: Format, number: str, result: _Result) -> None:
    body, issues = writer.write(one.document, {}, number)
    if writer.content_type == "application/json":
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
    result.outputs.append(body)
    result.issues += [*one.issues, *issues]
    result.unmapped += one.unmapped


def _folder(source: Path, out: Path | None, reader: Format, writer: Format, *, same: bool, ending: str) -> int:
    from rich.progress import track  # noqa: PLC0415

    if out is None:
        ERR.print("[red]Error:[/red] a folder needs --out DIR for its results")
        return USAGE
    files = sorted(path for path in source.rglob("*") if path.is_file())
    failed = 0
    for path in track(files, description="Converting", console=ERR, transient=True):
        result = _convert(path.read_bytes(), reader, writer, same=same)
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

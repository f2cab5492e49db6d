"""``carelane validate``: does a file fit its schema or structure? HL7 v2, Data Model JSON or FHIR R4, told apart by what it says."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from carelane.cli.console import ERR, FAILED, OK, OUT, USAGE
from carelane.domain.errors import CarelaneError
from carelane.domain.message import Issue


def validate(
    files: Annotated[list[Path], typer.Argument(help="Files to check.")],
    strict: Annotated[bool, typer.Option("--strict", help="Values outside closed sets and unknown keys count as failures too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check messages: HL7 v2 by the documents it becomes, Data Model JSON by its schema, FHIR by the structure of R4.

    Places are named, values never. Exit code 1 when something does not fit.
    """
    results: dict[str, list[Issue]] = {}
    for file in files:
        try:
            results[str(file)] = check_file(file.read_bytes())
        except OSError as error:
            ERR.print(f"[red]Error:[/red] {file}: {error.strerror}")
            raise typer.Exit(USAGE) from None
        except CarelaneError as error:
            results[str(file)] = [Issue("error", "unreadable", text=str(error))]
    bad = {name: [issue for issue in issues if _counts(issue, strict=strict)] for name, issues in results.items()}
    if json:
        OUT.print_json(
            orjson.dumps([{"file": name, "valid": not bad[name], "issues": [one.as_json() for one in issues]} for name, issues in results.items()]).decode()
        )
    else:
        for name, issues in results.items():
            OUT.print(f"{name}: {'does not fit' if bad[name] else 'fits'}" + (f", {len(issues)} findings" if issues else ""), soft_wrap=True, markup=False)
            for issue in issues:
                OUT.print(f"  {issue.severity}: {issue.code} {issue.target or issue.source} {issue.text}", soft_wrap=True, markup=False)
    raise typer.Exit(FAILED if any(bad.values()) else OK)


def _counts(issue: Issue, *, strict: bool) -> bool:
    if strict:
        return issue.severity != "information" or issue.code == "unknown-key"
    return issue.severity == "error" or issue.code in ("schema", "required-missing", "fhir-structure")


def check_file(raw: bytes) -> list[Issue]:
    """Return what does not fit in a file of any format; raises ``Unreadable``."""
    from carelane.models.fhir import check_resource  # noqa: PLC0415
    from carelane.models.schemas import check  # noqa: PLC0415
    from carelane.plugins import FormatShelf  # noqa: PLC0415

    shelf = FormatShelf()
    if raw.lstrip(b"\xef\xbb\xbf \r\n\t\x0b")[:1] not in (b"{", b"["):
        words, issues = shelf["hl7v2"], []
        for part in words.split(raw):
            for one in words.read(part, {}):
                meta = one.document.get("Meta")
                named = meta if isinstance(meta, dict) else {}
                issues += check(one.document, str(named.get("DataModel")), str(named.get("EventType")))
        return issues
    try:
        loaded = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return [Issue("error", "bad-json", text=f"not valid JSON: line {error.lineno}, column {error.colno}")]
    if isinstance(loaded, dict) and "resourceType" in loaded:
        return check_resource(loaded)
    [one] = shelf["datamodel"].read(raw, {})
    return one.issues

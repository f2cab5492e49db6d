"""Scores of the HL7 v2 maps over a corpus of messages: what is carried, what comes back, what is valid, what HL7's tables agree with.

C1 rows of HL7's tables that a row of ours implements and the corpus proves · C2 leaves carried · C3 leaves that come back ·
C4 documents and bundles that are valid, and bundles by way of the document that say what those from the message itself say ·
C5 codes translated · C6 triggers with an event or a reason.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carelane.domain.errors import CarelaneError
from carelane.domain.message import Converted, Leftovers, Origin
from carelane.formats.fhir.compose import PACKS, compiled
from carelane.formats.fhir.write import bundle_of
from carelane.formats.hl7v2.message import Message, parse
from carelane.formats.hl7v2.packs import every_row
from carelane.formats.hl7v2.read import traced
from carelane.formats.hl7v2.scope import Context, Scope
from carelane.formats.hl7v2.times import own_zone, to_datetime
from carelane.formats.hl7v2.triggers import trigger_table
from carelane.formats.hl7v2.write import write
from carelane.models.fhir import check_resource
from carelane.models.schemas import check
from carelane.ops.oracle import SCOPE, Seen, judge, proven_alone, rows

_CARRY = {"leftovers": "carry"}
Leaf = tuple[str, int, int, int, str]


@dataclass
class Score:
    """Counts over the messages of one family."""

    family: str
    messages: int = 0
    refused: int = 0
    leaves: int = 0
    mapped: int = 0
    carried: int = 0
    accounted: int = 0
    back: int = 0
    documents: int = 0
    valid_documents: int = 0
    valid_bundles: int = 0
    told: int = 0
    alike: int = 0
    resolved: int = 0
    codes: int = 0
    unknown_codes: int = 0
    triggers: int = 0
    defined: int = 0
    seen: Seen = field(default_factory=Seen)
    quoted: int = 0
    in_scope: int = 0
    proven: int = 0
    weight: int = 0
    proven_weight: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the scores as percentages; None where there is nothing to score."""
        whole, there, anywhere = self.seen.sums()
        return {
            "family": self.family,
            "messages": self.messages,
            "without a document": self.refused,
            "C1 table rows quoted": _share(self.quoted, self.in_scope),
            "C1 table rows proven": _share(self.proven, self.in_scope),
            "C1 proven, by frequency": _share(self.proven_weight, self.weight),
            "C2 mapped by a row": _share(self.mapped, self.leaves),
            "C2 carried": _share(self.carried, self.leaves),
            "C2 carried or listed": _share(self.accounted, self.leaves),
            "C3 round trip": _share(self.back, self.leaves),
            "C4 documents valid": _share(self.valid_documents, self.documents),
            "C4 bundles valid": _share(self.valid_bundles, self.documents),
            "C4 references resolve": _share(self.resolved, self.documents),
            "C4 alike from what came": _share(self.alike, self.told),
            "C5 codes translated": _share(self.codes - self.unknown_codes, self.codes),
            "C6 triggers defined": _share(self.defined, self.triggers),
            "tables agree, in the element": _share(there, whole),
            "tables agree, anywhere": _share(anywhere, whole),
        }


def _share(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None


def score(messages: Iterable[bytes], family: str = "", tables: Path | None = None) -> list[Score]:
    """Score a corpus, one score a family; only one family where it is named."""
    found: dict[str, Score] = {}
    for raw in messages:
        try:
            message = parse(raw)
        except CarelaneError:
            continue
        code = (message.get("MSH", 9) or "?").upper()
        if family and code != family.upper():
            continue
        one = found.setdefault(code, Score(code))
        try:
            _message(raw, message, one)
            if tables is not None:
                judge(raw, tables, one.seen)
        except CarelaneError:
            one.refused += 1
    for one in found.values():
        _triggers(one)
        if tables is not None:
            _tables(one, tables)
    return sorted(found.values(), key=lambda one: one.family)


def _message(raw: bytes, message: Message, one: Score) -> None:
    pairs = traced(raw, {}, Leftovers.CARRY)
    one.messages += 1
    came = leaves(message)
    shown: set[str] = set()
    back: dict[Leaf, int] = {}
    listed: set[str] = set()
    for found, run in pairs:
        shown |= set(_texts(found.document))
        listed |= set(found.unmapped)
        one.codes += sum(1 for hit in run.hits if hit[6].map)
        unknown = sum(1 for issue in found.issues if issue.code == "unmapped-code")
        one.codes += unknown
        one.unknown_codes += unknown
        body = write(found.document, _CARRY, "1")[0]
        for leaf, count in leaves(parse(body)).items():
            back[leaf] = back.get(leaf, 0) + count
        _valid(found, one)
    joined = "\n".join(shown).casefold()
    loose = _bare(joined)
    folded = {(*leaf[:4], leaf[4].casefold()) for leaf in back}
    scope = Scope({}, Context(message, own_zone(message.get("MSH", 7))))
    for leaf, count in came.items():
        name, number, component, _, text = leaf
        is_listed = bool({f"{name}-{number}", f"{name}-{number}.{component}", name} & listed)
        same = (*leaf[:4], text.casefold()) in folded
        carried = same or text.strip().casefold() in joined or _bare(text) in loose or _moment(text, scope).casefold() in joined
        one.leaves += count
        one.mapped += 0 if is_listed else count
        one.carried += count if carried else 0
        one.accounted += count if carried or is_listed else 0
        one.back += min(count, back.get(leaf, 0))


def _bare(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text.casefold())


def _moment(text: str, scope: Scope) -> str:
    """A time as documents tell it, in UTC; other text as it is."""
    found = to_datetime(text, scope) if text[:8].isdigit() else None
    return found if isinstance(found, str) else text


def _valid(found: Converted, one: Score) -> None:
    document: Any = found.document
    meta = document["Meta"]
    issues = check(document, str(meta["DataModel"]), str(meta["EventType"]))
    one.documents += 1
    one.valid_documents += not any(issue.code in ("schema", "unknown-value") for issue in issues)
    bundle, _ = bundle_of(document, {}, "1")
    other = bundle if found.parsed is None else bundle_of(document, {}, "1", Origin(parsed=found.parsed))[0]
    one.valid_bundles += not check_resource(bundle) and not check_resource(other)
    one.resolved += all(text in {entry["fullUrl"] for entry in each.get("entry", [])} for each in (bundle, other) for text in _references(each))
    ours, theirs = (Counter(_elements(each)) for each in (bundle, other))
    one.told += theirs.total()
    one.alike += (ours & theirs).total()


def _elements(bundle: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What the resources of a bundle say, without the ids that join them."""
    for entry in bundle.get("entry", []):
        resource = entry["resource"]
        for path, value in _leaves_of({key: value for key, value in resource.items() if key != "id"}, resource["resourceType"]):
            if not path.endswith(".reference"):
                yield path, str(value)


def _leaves_of(value: Any, path: str) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves_of(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves_of(inner, path)
    else:
        yield path, value


def _references(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def leaves(message: Message) -> dict[Leaf, int]:
    """Count the leaves of everything but MSH and the numbering of segments."""
    found: dict[Leaf, int] = {}
    seps = message.seps
    for segment in message.segments:
        if segment.name == "MSH":
            continue
        for number, text in enumerate(segment.fields):
            if number < 1 or not text or (number == 1 and text.isdigit()):
                continue
            for repetition in text.split(seps.repetition) if seps.repetition else [text]:
                for at, component in enumerate(repetition.split(seps.component), 1):
                    for sub, raw in enumerate(component.split(seps.subcomponent), 1):
                        if raw:
                            leaf = (segment.name, number, at, sub, message.leaf(raw) or raw)
                            found[leaf] = found.get(leaf, 0) + 1
    return found


def _triggers(one: Score) -> None:
    lines = trigger_table().get(one.family, {})
    one.triggers = len(lines)
    one.defined = sum(1 for line in lines.values() if line.events or line.hold)


def _tables(one: Score, tables: Path) -> None:
    quoted = {row.ig for name in PACKS for row in every_row(compiled(name).pack.rows) if row.ig}
    known = {f"{table}#{row.segment}-{row.field}" for table in SCOPE.get(one.family, ()) for row in rows(tables, table)}
    proven = one.seen.proven() | proven_alone(one.family, tables)
    one.in_scope = len(known)
    one.quoted = len(known & quoted)
    one.proven = len(known & proven)
    one.weight = sum(counts[0] for counts in one.seen.rows.values())
    one.proven_weight = sum(counts[0] for row, counts in one.seen.rows.items() if row in proven)

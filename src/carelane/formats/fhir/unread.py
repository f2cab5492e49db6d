"""What of a bundle did not reach its documents: the paths of values that stand nowhere in them, so that a loss is seen and counted."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from carelane.formats.fhir.compose import PACKS, compiled
from carelane.formats.fhir.direct.remains import leaves

_FRAME = frozenset({"resourceType", "id", "meta", "text", "implicitRules", "language"})
_PLUMBING = frozenset({"system", "use", "url", "reference", "div", "data", "contentType", "start", "end", "unit", "currency"})
"""Leaves that say how another is meant; files are told in other words."""
_MOST = 100


def unread(resources: Iterable[Mapping[str, Any]], documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return paths such as ``Patient.photo.title``, each once and at most a hundred; codes and states that were translated are not missing."""
    told = "\n".join(str(value) for document in documents for _, value in leaves(document) if not isinstance(value, bool)).casefold()
    loose = _bare(told)
    found: dict[str, None] = {}
    for resource in resources:
        kind = str(resource["resourceType"])
        if kind in ("MessageHeader", "Provenance"):
            continue
        for path, value in leaves(resource):
            names = [name for name in path if not name.isdigit()]
            if isinstance(value, bool) or names[0] in _FRAME or names[-1] in _PLUMBING or names[0] in _translated().get(kind, ()):
                continue
            if "extension" in names and not names[-1].startswith("value"):
                continue
            if not any(text in told or (len(bare := _bare(text)) > 1 and bare in loose) for text in _said(value)):
                found[".".join([kind, *names])] = None
                if len(found) >= _MOST:
                    return list(found)
    return list(found)


def _said(value: Any) -> Iterator[str]:
    """A value, and where it is a time with a zone, the same in UTC."""
    text = str(value)
    yield text.casefold()
    if text[:4].isdigit() and "T" in text:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return
        if moment.tzinfo is not None:
            yield moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00").casefold()


def _bare(text: str) -> str:
    return re.sub(r"[\W_]", "", text)


@cache
def _translated() -> Mapping[str, frozenset[str]]:
    """By resource type, the elements whose codes the maps translate."""
    found: dict[str, set[str]] = {}
    for name in PACKS:
        pack = compiled(name).pack
        coded = {row.target.partition(".")[0].removesuffix("[]") for row in pack.rows if (row.via or "").startswith(("code_", "concept_", "class")) and row.rev}
        found.setdefault(pack.family, set()).update(coded | {"status", "intent", "mode", "use"})
    return {kind: frozenset(names) for kind, names in found.items()}

"""Documents of models without HL7 v2 messages → the resources of a bundle, by their plans."""

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from carelane.domain.message import Issue
from carelane.formats.fhir.assembly import Assembly, reference
from carelane.formats.fhir.direct.edge import Around, JsonEdge, Node, made
from carelane.formats.fhir.direct.narratives import narrative
from carelane.formats.fhir.direct.plans import PLANS, TEXTS, Part, Plan
from carelane.formats.fhir.direct.remains import remains, with_remains
from carelane.mapping.compile import Compiled, Compiler
from carelane.mapping.document import compile_get
from carelane.mapping.pack import load_pack
from carelane.mapping.runtime import Run

MAPS = Path(__file__).parent / "maps"
PART = "urn:carelane:fhir:part"
"""Tag of a resource of ours: the path of the document it was made from."""
Resource = dict[str, Any]


@cache
def compiled(name: str) -> Compiled:
    """Return a compiled map; compiled once a process."""
    return Compiler(load_pack(MAPS / f"{name}.yaml", {}), JsonEdge()).compile(trace=False)


class Composer:
    """Puts the resources of one document together."""

    def __init__(self, assembly: Assembly, patient: Mapping[str, str] | None) -> None:
        self._assembly = assembly
        self._patient = dict(patient) if patient else None
        self._around = Around(assembly, self.resolve)
        self.issues: list[Issue] = []

    def resolve(self, link: Any) -> Resource | None:
        """Return a resource that was put together already."""
        text = link.get("reference") if isinstance(link, dict) else None
        return self._assembly.resources.get(text.removeprefix("urn:uuid:")) if isinstance(text, str) else None

    def links(self, part: Part, value: Any, path: str) -> list[dict[str, str]]:
        """Add the resources of a part and return references to them."""
        every = value if isinstance(value, list) else [value]
        return [self._link(part, one, path) for one in every if isinstance(one, dict) and any(True for _ in _told(one))]

    def _link(self, part: Part, value: dict[str, Any], path: str) -> dict[str, str]:
        found: Resource = {}
        run = Run()
        pack = compiled(part.pack)
        pack.program(Node(value, self._around), found, run)
        self.issues += run.issues
        inner = {child.path for _, child in part.inner}
        told = {key: one for key, one in value.items() if key not in inner}
        _numbered(found)
        for name, usual in part.usual.items():
            plain = name.removeprefix("_")
            if not found.keys() & {plain, plain.replace("String", "DateTime")}:
                found[name] = copy.deepcopy(usual)
        if left := remains(told, back_of(part, found, self._around)):
            found["extension"] = [left]
        for element, child in part.inner:
            if links := self.links(child, value.get(child.path), f"{path}.{child.path}"):
                _refer(found, element, links)
        for element, kind, of in part.beside:
            other = next((reference(one["id"]) for one in self._assembly.of(kind)), None)
            if other is not None or element not in found:
                found[element] = of(other or {"display": "unknown"})
        if part.about:
            found[part.about] = self._patient or {"display": "unknown"}
        found["meta"] = {"tag": [{"system": PART, "code": path}]}
        return self._assembly.add({"resourceType": part.resource, **found})


def back_of(part: Part, resource: Mapping[str, Any], around: Around) -> dict[str, Any]:
    """Return the object a resource says, without what it carries in its extension."""
    builder = made(around)
    for step in compiled(part.pack).back:
        step(dict(resource), builder)
    return builder


def whole_of(part: Part, resource: Mapping[str, Any], around: Around) -> dict[str, Any]:
    """Return the object a resource says, with what it carries."""
    return with_remains(back_of(part, resource, around), resource)


def _told(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _told(one)
    elif value is not None and value != "":
        yield value


def _numbered(found: Resource) -> None:
    for name in ("item", "diagnosis", "procedure", "careTeam"):
        for number, one in enumerate(found.get(name) or [], 1):
            if isinstance(one, dict):
                one["sequence"] = number
    for one in found.get("item") or []:
        one.setdefault("productOrService", {"text": "unknown"})


def _refer(found: Resource, element: str, links: list[dict[str, str]]) -> None:
    name, several, member = element.partition("[]")
    found[name] = [{member[1:]: link} if member else link for link in links] if several else links[0]


def compose(document: Mapping[str, Any], plan: Plan, assembly: Assembly, patient: Mapping[str, str] | None) -> tuple[list[dict[str, str]], list[Issue]]:
    """Add what a document says to a bundle; return references to what it is about, the composition first where there is one."""
    work = Composer(assembly, patient)
    sections: dict[str, dict[str, Any]] = {}
    links: list[dict[str, str]] = []
    for part in plan.parts:
        found = work.links(part, compile_get(part.path)(dict(document)), part.path)
        links += found
        if part.section:
            _section(sections, part.section, found, compile_get(part.text)(dict(document)) if part.text else None)
    if plan.head is None:
        return links, work.issues
    for path, section in TEXTS.items():
        _section(sections, section, [], document.get(path))
    head = compile_get(plan.head.path)(dict(document))
    [link] = work.links(plan.head, head if isinstance(head, dict) and any(True for _ in _told(head)) else {"Title": "Clinical summary"}, plan.head.path)
    if sections and (composition := work.resolve(link)) is not None:
        composition["section"] = list(sections.values())
    return [link], work.issues


def _section(sections: dict[str, dict[str, Any]], section: tuple[str, str], links: list[dict[str, str]], text: Any) -> None:
    if not links and not (isinstance(text, str) and text.strip()):
        return
    code, title = section
    found = sections.setdefault(code, {"title": title, "code": {"coding": [{"system": "http://loinc.org", "code": code}]}})
    if links:
        found.setdefault("entry", []).extend(links)
    if isinstance(text, str) and text.strip():
        found["text"] = narrative(text)


def plan_of(model: str, event: str) -> Plan | None:
    """Return the plan of an event type; None when there is none."""
    return PLANS.get(f"{model}.{event}")

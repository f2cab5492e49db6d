"""The resources of one bundle while it is put together: deterministic ids, references that resolve, one copy of whoever is named twice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from carelane.formats.hl7v2.scope import Context

_MOST_COMPONENTS = 32
_NAMESPACE = UUID("5b1f7a52-3c1d-5c2e-9a44-0f6f6d1c7e10")


@dataclass(slots=True)
class Assembly:
    """``origin`` is what makes ids of one source differ from another's; ``control`` stands in where a resource has no identifier of its own.

    Where a message becomes several bundles, ``part`` says which this is, ``1.2`` the second of its first patient: what they are about has the part
    in its id, what they share (the patient, allergies) the patient's number only.
    """

    origin: str
    control: str
    part: str = ""
    shared: bool = False
    """Whether what is added now stands in every bundle of its patient."""
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def identity(self, kind: str, key: str) -> str:
        """Return the id of a resource: the same for the same source, type and key, and without any data in it."""
        return str(uuid5(_NAMESPACE, f"{self.origin}|{kind}|{key}"))

    def add(self, resource: dict[str, Any], key: str = "") -> dict[str, str]:
        """Add a resource and return a reference to it.

        With a ``key``, a business identifier with its system, a second one of the same key is the first again; without, the
        message's control id and the place in it make the id.
        """
        kind = resource["resourceType"]
        numbers = resource.get("identifier")
        if isinstance(numbers, list) and len(numbers) > 1:
            resource["identifier"] = [one for at, one in enumerate(numbers) if one not in numbers[:at]]
        count = self.counts[kind] = self.counts.get(kind, 0) + 1
        at = key or f"{self._place()}#{kind}#{count}"
        identity = self.identity(kind, at)
        known = self.resources.get(identity)
        if known is None:
            self.resources[identity] = {"resourceType": kind, "id": identity, **resource}
        else:
            for name, value in resource.items():
                known.setdefault(name, value)
        return reference(identity)

    def named(self) -> str:
        """Return the name of the whole bundle: no other bundle of the source has it."""
        return f"{self.control}-{self.part}" if self.part else self.control

    def _place(self) -> str:
        if not self.part:
            return self.control
        return f"{self.control}#{self.part.partition('.')[0] if self.shared else self.part}"

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the resources of a type, in the order they came."""
        return [one for one in self.resources.values() if one["resourceType"] == kind]


def reference(identity: str) -> dict[str, str]:
    """Return a Reference to a resource of the same bundle."""
    return {"reference": f"urn:uuid:{identity}"}


def key_of(identifiers: Any) -> str:
    """Return the first identifier that says its system, as a key; empty when none does."""
    for one in identifiers if isinstance(identifiers, list) else []:
        if isinstance(one, Mapping) and one.get("value") and one.get("system"):
            return f"{one['system']}|{one['value']}"
    return ""


@dataclass(slots=True)
class FhirContext(Context):
    """A conversion's context that also knows the bundle being put together."""

    assembly: Assembly = field(default_factory=lambda: Assembly("", ""))
    firsts: dict[str, list[str]] = field(default_factory=dict)

    def valued(self, raw: str) -> list[str]:
        """Return the first leaf of every component as FHIR has it: no spaces around; long enough for any data type."""
        found = self.firsts.get(raw)
        if found is None:
            values = [text.strip() for text in self.values(raw)]
            found = self.firsts[raw] = values + [""] * (_MOST_COMPONENTS - len(values))
        return found

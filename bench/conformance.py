"""How the maps do on a folder of messages: scores, HL7's tables, hostile input, speed and memory; the page docs/conformance.md.

python -m bench.conformance ../shared/samples [--page docs/conformance.md]
"""

import contextlib
import gc
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import orjson
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from bench.machine import adt, machine, report
from bench.mapping import oru, timed
from carelane.domain.errors import CarelaneError
from carelane.domain.message import Leftovers, Origin
from carelane.formats.datamodel.format import FORMAT as DATAMODEL
from carelane.formats.fhir.compose import PACKS, compiled
from carelane.formats.fhir.direct.write import MAPS as DIRECT
from carelane.formats.fhir.direct.write import compiled as compiled_direct
from carelane.formats.fhir.write import bundle_of
from carelane.formats.hl7v2.format import FORMAT
from carelane.formats.hl7v2.packs import ALL, compiled_map
from carelane.formats.hl7v2.read import read
from carelane.models.examples import example
from carelane.models.schemas import definitions, schema, validator
from carelane.ops.coverage import score


def messages(samples: Path) -> Iterator[bytes]:
    """Yield every HL7 v2 message of the folder."""
    for folder in [*sorted(samples.glob("hl7v2-*")), *sorted(samples.glob("v2-to-fhir-pairs-*"))]:
        for path in sorted(folder.iterdir()):
            if path.suffix not in (".tsv", ".json", ".md", ".csv"):
                yield from FORMAT.split(path.read_bytes())


def to_fhir(raw: bytes) -> None:
    """Parse, map and write, as the hub does for a FHIR destination."""
    for one in read(raw, {}, Leftovers.WHERE_NEEDED):
        orjson.dumps(bundle_of(one.document, {}, "1", Origin(parsed=one.parsed))[0])


def by_document(raw: bytes) -> None:
    """The same by way of the document and its leftovers, as for an overlay or a message of several documents."""
    for one in read(raw, {}, Leftovers.CARRY):
        orjson.dumps(bundle_of(one.document, {}, "1")[0])


def slowest(samples: Path) -> float:
    """Return the milliseconds the slowest message takes to FHIR, by way of its document."""
    most = 0.0
    for raw in messages(samples):
        began = time.perf_counter()
        try:
            by_document(raw)
        except CarelaneError:
            continue
        most = max(most, time.perf_counter() - began)
    return round(most * 1000, 1)


def large() -> dict[str, float]:
    """A message of 30 MB with an embedded document, to its document."""
    data = "QUJD" * (30 * 1024 * 1024 // 4)
    raw = ("MSH|^~\\&|A|B|C|D|20260101||MDM^T02|C1|P|2.5\rPID|1||7\rTXA|1|PN|AP\rOBX|1|ED|1^Scan^L||^application^pdf^Base64^" + data + "||||||F\r").encode()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    read(raw, {})
    seconds = time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {"bytes": len(raw), "seconds": round(seconds, 2), "memory_times_size": round(grown / len(raw), 1)}


def hostile(samples: Path) -> dict[str, int]:
    """What the JSON door does with JSONTestSuite: y_ taken, n_ refused, i_ either, none crashes."""
    found = {"taken_as_named": 0, "refused_as_named": 0, "either": 0, "wrong": 0}
    for path in sorted((samples / "hostile-json").glob("*.json")):
        try:
            orjson.loads(path.read_bytes())
            taken = True
        except orjson.JSONDecodeError:
            taken = False
        with contextlib.suppress(CarelaneError):  # refused with a sentence: no object, or not JSON
            DATAMODEL.peek(path.read_bytes(), {})
        name = path.name[:2]
        wrong = (name == "y_" and not taken) or (name == "n_" and taken)
        found["wrong" if wrong else "taken_as_named" if name == "y_" else "refused_as_named" if name == "n_" else "either"] += 1
    return found


def speed() -> dict[str, Any]:
    """Times in microseconds, the best of many short runs, with the collector set as the hub sets it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    one, ten = adt("C1", 1024), oru(10 * 1024)
    document = example("PatientAdmin", "Arrival")
    document["Patient"]["Contacts"] = [document["Patient"]["Contacts"][0]] * 8
    document["Visit"]["Insurances"] = [document["Visit"]["Insurances"][0]] * 4
    rules = validator("PatientAdmin", "Arrival")
    theirs = jsonschema.Draft202012Validator(schema("PatientAdmin", "Arrival"), registry=_registry(definitions()))
    assert rules is not None
    return {
        "adt_1kb_to_fhir_us": timed(lambda: to_fhir(one), 20, 15),
        "oru_10kb_to_fhir_us": timed(lambda: to_fhir(ten), 5, 10),
        "adt_1kb_by_document_us": timed(lambda: by_document(one), 20, 15),
        "oru_10kb_by_document_us": timed(lambda: by_document(ten), 5, 10),
        "validate_4kb_us": timed(lambda: rules.is_valid(document), 50, 20),
        "validate_4kb_bytes": len(orjson.dumps(document)),
        "validate_4kb_jsonschema_us": timed(lambda: theirs.is_valid(document), 2, 5),
    }


def _registry(store: dict[str, Any]) -> Any:
    return Registry().with_resources([(key, Resource.from_contents(value, DRAFT202012)) for key, value in store.items()])


def startup() -> float:
    """Return the seconds it takes to compile every pack."""
    began = time.perf_counter()
    for name in ALL:
        compiled_map(name)
    for name in PACKS:
        compiled(name)
    for path in DIRECT.glob("*.yaml"):
        compiled_direct(path.stem)
    return round(time.perf_counter() - began, 2)


def main() -> None:
    samples = Path(sys.argv[1])
    compile_s = startup()
    big = large()
    scores = [one.as_json() for one in score(messages(samples), tables=samples / "v2-to-fhir-mapping-tables") if one.messages]
    figures = {"compile_all_packs_s": compile_s, "slowest_message_ms": slowest(samples), "large": big, "hostile_json": hostile(samples), **speed()}
    report("conformance", {"scores": scores, **figures})
    if "--page" in sys.argv:
        Path(sys.argv[sys.argv.index("--page") + 1]).write_text(page(scores, figures))


def page(scores: list[dict[str, Any]], figures: dict[str, Any]) -> str:
    """Return the page for people."""
    names = [name for name in scores[0] if name not in ("family", "messages", "without a document")]
    head = "| Family | Messages | " + " | ".join(names) + " |\n|---" + "|---" * (len(names) + 1) + "|\n"
    lines = [f"| {one['family']} | {one['messages']} | " + " | ".join("" if one[name] is None else f"{one[name]:g}" for name in names) + " |" for one in scores]
    shown = "\n".join(f"- {name}: {value}" for name, value in figures.items())
    return PAGE.format(table=head + "\n".join(lines), figures=shown, machine=machine())


PAGE = """# Conformance

Written by `python -m bench.conformance SAMPLES --page docs/conformance.md`; `carelane coverage FOLDER --tables TABLES` prints the same scores
for your own messages. All numbers in the table are percentages.

**Reading it.** C1: rows of HL7's v2-to-FHIR segment tables without a condition that a row of ours names; *proven*: a message
made for the row, holding hardly anything but its field, has the value in the element the table says, or nine in ten of the corpus's values for
it have; *by frequency*: the same rows, weighted by how often their fields occur. C2: leaves
whose field and component a row reads; *carried*: leaves whose text stands in the document or its leftovers; *or listed*: or whose path is
reported. C3: leaves equal after HL7 v2 → document → HL7 v2 (numbering of segments left out). C4: valid against our schemas; against FHIR R4's
structure (`fhir.resources`); every reference resolves; *alike*: what a Bundle made from the message itself says that one by way of the document
says too. C5: codes our tables know. C6: triggers with an event, or a reason for none.
*Tables agree*: values that HL7's tables send somewhere without a condition and that are in that element, or anywhere in the bundle, by way of the document.

{table}

## Speed, size, hostile input

{figures}

`to_fhir` is what the hub does for a FHIR destination: from the message itself where nothing stands between; `by_document` is the way over the document
and its leftovers. The slowest message is timed that way.

Machine: {machine}

The documents of all messages were also validated by hand against an independent public model of the same JSON, `pyredox` 1.0.4 (which needs an
older pydantic than ours): 1,044 of 1,044 are valid, as a destination gets them by default, required members that nobody told there and empty.

## What is not judged

Rows of HL7's tables with a condition, literal assignments, extensions, and components whose text is translated (coding systems, uses, types);
code lists, invariants and profiles of FHIR (the library checks names, types, formats and cardinalities). A time of day without a zone is no
FHIR instant: the date is told and the sender's own text kept in an extension.
"""


if __name__ == "__main__":
    main()

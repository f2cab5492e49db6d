"""Every real message: parses, comes back byte for byte, converts or says why, within a second of the processor (most take a thousandth)."""

import time

import orjson

from carelane.domain.errors import Unreadable
from carelane.formats.datamodel.format import FORMAT as DATAMODEL
from carelane.formats.fhir.format import FORMAT as FHIR
from carelane.formats.hl7v2.format import FORMAT
from carelane.formats.hl7v2.message import parse

ENDINGS = (".tsv", ".json", ".md", ".csv")


def messages(shared):
    folders = [*sorted(shared.glob("hl7v2-*")), *sorted(shared.glob("v2-to-fhir-pairs-*"))]
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.suffix not in ENDINGS:
                for part in FORMAT.split(path.read_bytes()):
                    yield path.name, part


def test_every_message_with_an_msh_parses_and_comes_back_byte_for_byte(shared):
    different = [name for name, raw in messages(shared) if parse(raw).encode() != raw]
    assert [] == different


def test_every_message_converts_or_says_why_and_none_takes_a_second(shared):
    slow, silent, converted, explained = [], [], 0, 0
    for name, raw in messages(shared):
        began = time.process_time()
        try:
            converted += bool(FORMAT.read(raw, {}))
        except Unreadable as reason:
            explained += 1
            if not str(reason):
                silent.append(name)
        if time.process_time() - began > 1:
            slow.append(name)
    assert ([], []) == (slow, silent)
    assert converted > 800 and explained < converted


def test_no_row_fails_on_any_real_message(shared):
    failed = set()
    for name, raw in messages(shared):
        try:
            failed |= {(name, issue.row) for one in FORMAT.read(raw, {}) for issue in one.issues if issue.code == "row-error"}
        except Unreadable:
            continue
    assert set() == failed


def test_hostile_strings_come_back_as_they_were_from_every_format(shared):
    strings = [text for text in orjson.loads((shared / "hostile-strings" / "blns.json").read_bytes()) if text.strip() and text != '""']
    assert len(strings) > 400
    wrong = []
    for text in strings:
        person = {"Identifiers": [{"ID": "7", "IDType": "MR"}], "Demographics": {"LastName": text}, "Notes": [text]}
        document = {"Meta": {"DataModel": "PatientAdmin", "EventType": "PatientUpdate"}, "Patient": person}
        for words in (FORMAT, DATAMODEL, FHIR):
            back = words.read(words.write(document, {}, "1")[0], {})[0].document["Patient"]["Demographics"].get("LastName")
            if back != text and (words is not FHIR or back.strip() not in text):  # FHIR's strings have no spaces around them
                wrong.append((words, text))
    assert [] == wrong

"""The scores over the shared messages never drop: HL7's own tables are the judge, not the engine."""

import json
from pathlib import Path

import pytest

from carelane.formats.hl7v2.format import FORMAT
from carelane.ops.coverage import score

LEAST = json.loads((Path(__file__).parent / "least_scores.json").read_text())


def messages(shared):
    for folder in [*sorted(shared.glob("hl7v2-*")), *sorted(shared.glob("v2-to-fhir-pairs-*"))]:
        for path in sorted(folder.iterdir()):
            if path.suffix not in (".tsv", ".json", ".md", ".csv"):
                yield from FORMAT.split(path.read_bytes())


@pytest.mark.timeout(300)
def test_no_score_over_the_shared_messages_has_dropped(shared):
    found = {one.family: one.as_json() for one in score(messages(shared), tables=shared / "v2-to-fhir-mapping-tables")}
    lower = [
        (family, name, found[family][name], least) for family, scores in LEAST.items() for name, least in scores.items() if (found[family][name] or 0) < least
    ]
    assert [] == lower


def test_a_message_of_ones_own_is_scored_without_tables():
    raw = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|C1|P|2.5\rPID|1||7||Doe^Jo^^^^^L\rPV1|1|I\rZPD|1|x\r"
    [one] = score([raw])
    shown = one.as_json()
    assert ("ADT", 1, 100.0, 100.0, None) == (
        shown["family"],
        shown["messages"],
        shown["C2 carried or listed"],
        shown["C4 bundles valid"],
        shown["C1 table rows quoted"],
    )
    assert shown["C2 mapped by a row"] < 100  # PID-5.7 and the Z-segment have no row


def test_a_family_without_a_map_is_counted_and_not_hidden():
    [one] = score([b"MSH|^~\\&|A|B|C|D|20260101||PPR^PC1|C1|P|2.5\rPID|1||7\r"])
    assert (0, 1) == (one.messages, one.refused)

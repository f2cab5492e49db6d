from pathlib import Path

import pytest

from carelane.domain.message import Leftovers
from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.write import write
from carelane.mapping.document import without_leftovers

HEAD = "MSH|^~\\&|A|NORTH|B|C|20260102030405+0000||{kind}|C1|P|2.5\r"
CARRY = {"leftovers": "carry"}


def convert(*segments: str, kind: str = "ADT^A01"):
    [one] = read((HEAD.format(kind=kind) + "\r".join(segments) + "\r").encode(), {}, Leftovers.CARRY)
    return one


def again(document, *path) -> str | None:
    return parse(write(document, CARRY, "1")[0]).get(*path)


def test_a_component_no_row_reads_is_listed_and_carried_and_comes_back():
    one = convert("PID|1||7^^^N^MR||Doe^Jo^^^^^L", "PV1|1|I")
    assert "PID-5.7" in one.unmapped and {"7": "L"} == one.document["Meta"]["Extensions"]["v2.PID"][0]["5"]
    assert "L" == again(one.document, "PID", 5, 7)


def test_a_repetition_that_was_not_chosen_keeps_its_place():
    one = convert("PID|1||7||Nick^Jo^^^^^N~Doe^Jo^^^^^L", "PV1|1|I")
    assert "Doe" == one.document["Patient"]["Demographics"]["LastName"]
    written = parse(write(one.document, CARRY, "1")[0])
    assert ("Nick", "Doe") == (written.get("PID", 5), written.get("PID", 5, repetition=2))


def test_a_code_that_shares_its_meaning_comes_back_as_it_was():
    one = convert("PID|1||7", "OBR|1|P|F|1^A^L", "OBX|1|NM|2^B^L||1||||||U", kind="ORU^R01")
    assert "Final" == one.document["Orders"][0]["Results"][0]["Status"]
    assert "U" == again(one.document, "OBX", 11)


def test_a_value_that_was_changed_on_purpose_wins_over_the_senders_own():
    one = convert("PID|1||7", "OBR|1|P|F|1^A^L", "OBX|1|NM|2^B^L||1||||||U", kind="ORU^R01")
    one.document["Orders"][0]["Results"][0]["Status"] = "Corrected"
    assert "C" == again(one.document, "OBX", 11)


def test_a_changed_telephone_number_drops_the_parts_of_the_old_one():
    one = convert("PID|1||7||Doe||||||||^PRN^PH^^1^608^5550136", "PV1|1|I")
    one.document["Patient"]["Demographics"]["PhoneNumber"]["Home"] = "+16085550199"
    body = write(one.document, CARRY, "1")[0].decode()
    assert "+16085550199" in body and "5550136" not in body


@pytest.mark.parametrize("moment", ["20260102090000-0600", "20260102150000.5+0000", "202601021500+0000", "20260102"])
def test_a_time_comes_back_as_the_sender_wrote_it(moment):
    one = convert("PID|1||7", "PV1|1|I" + "|" * 42 + moment)
    assert moment == again(one.document, "PV1", 44)


def test_a_segment_no_row_knows_comes_back_behind_the_one_it_followed():
    one = convert("PID|1||7||Doe", "ROL|1|AD|PP|77^Berg", "PV1|1|I", "ACC|20260101", "AL1|1||7^Nuts")
    names = [segment.name for segment in parse(write(one.document, CARRY, "1")[0]).segments]
    assert ["MSH", "EVN", "PID", "ROL", "PV1", "ACC", "AL1"] == names


def test_an_explicit_null_comes_back():
    assert '""' == again(convert('PID|1||7||Doe||""', "PV1|1|I").document, "PID", 7)


def test_leftovers_do_not_leave_for_a_destination_that_did_not_ask():
    one = convert("PID|1||7||Doe^^^^^^L", "PV1|1|I||E", "ZPD|1|x")
    names = without_leftovers(one.document)["Meta"]["Extensions"]
    assert ["v2.ZPD"] == [name for name in names if name.startswith("v2.")]
    assert parse(write(one.document, {}, "1")[0]).get("PV1", 4) in (None, "E")  # a row carries PV1-4
    assert parse(write(one.document, {}, "1")[0]).get("PID", 5, 7) is None


def leaves(raw: bytes) -> dict[tuple[str, int, int, int, str], int]:
    """Count the leaves of everything but MSH and the numbering of segments."""
    message, found = parse(raw), {}
    for segment in message.segments:
        for number, text in enumerate(segment.fields):
            if segment.name == "MSH" or number < 1 or (number == 1 and text.isdigit()):
                continue
            for repetition in text.split(message.seps.repetition) if message.seps.repetition else [text]:
                for at, component in enumerate(repetition.split(message.seps.component), 1):
                    for sub, leaf in enumerate(component.split(message.seps.subcomponent), 1):
                        if leaf:
                            key = (segment.name, number, at, sub, leaf)
                            found[key] = found.get(key, 0) + 1
    return found


def _messages(shared: Path):
    from carelane.formats.hl7v2.format import FORMAT

    for folder in [*sorted(shared.glob("hl7v2-*")), *sorted(shared.glob("v2-to-fhir-pairs-*"))]:
        for path in sorted(folder.iterdir()):
            if path.suffix not in (".tsv", ".json", ".md", ".csv"):
                yield from FORMAT.split(path.read_bytes())


def test_real_messages_come_back_leaf_by_leaf(shared):
    from carelane.domain.errors import Unreadable

    whole, same = 0, 0
    for raw in _messages(shared):
        try:
            found = read(raw, {}, Leftovers.CARRY)
        except Unreadable:
            continue
        back: dict = {}
        for one in found:
            for key, count in leaves(write(one.document, CARRY, "1")[0]).items():
                back[key] = back.get(key, 0) + count
        came = leaves(raw)
        whole += sum(came.values())
        same += sum(min(count, back.get(key, 0)) for key, count in came.items())
    assert same / whole > 0.98


def test_repeated_explicit_nulls_refuse_no_message():
    one = convert('PID|1||7^^^N^MR||Doe^Jo||||||""~""', kind="ADT^A31")
    assert "Doe" == one.document["Patient"]["Demographics"]["LastName"]

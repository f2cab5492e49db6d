import pytest
from pydantic import ValidationError

from carelane.domain.errors import Unmappable
from carelane.domain.message import Leftovers
from carelane.formats.hl7v2.format import FORMAT, Settings
from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.triggers import trigger_table
from carelane.formats.hl7v2.write import write

ORU = (
    b"MSH|^~\\&|LAB|N|||20260102030405+0000||ORU^R01^ORU_R01|C1|P|2.5.1\rPID|1||7^^^N^MR||Doe^Jo\rPV1|1|I\r"
    b"ORC|RE|P1|F1\rOBR|1|P1|F1|1^One^L|||20260102||||||||||||||||||F\rOBX|1|ST|a^A^L||first||||||F\rNTE|1||of the first\r"
    b"ORC|RE|P2|F2\rOBR|2|P2|F2|2^Two^L|||20260102||||||||||||||||||F\rOBX|1|ST|b^B^L||second||||||F|||||||||Z\r"
)


def written(settings, raw=ORU, message_id="M1"):
    [one] = read(raw, {}, Leftovers.CARRY)
    body, _ = write(one.document, {"leftovers": "carry", **settings}, message_id)
    return [parse(part) for part in FORMAT.split(body)]


def lines(message):
    return [segment.name for segment in message.segments]


def test_orders_go_together_unless_the_destination_wants_them_apart():
    [both] = written({})
    assert ["MSH", "PID", "PV1", "ORC", "OBR", "OBX", "NTE", "ORC", "OBR", "OBX"] == lines(both)
    first, second = written({"orders": "apart"})
    assert (["MSH", "PID", "PV1", "ORC", "OBR", "OBX", "NTE"], ["MSH", "PID", "PV1", "ORC", "OBR", "OBX"]) == (lines(first), lines(second))
    assert ("P1", "P2") == tuple(one.get("ORC", 2) for one in (first, second))


def test_each_of_several_messages_has_a_control_id_and_set_ids_of_its_own():
    parts = written({"orders": "apart"}, message_id="x" * 30)
    assert ["x" * 18 + "-1", "x" * 18 + "-2"] == [one.get("MSH", 10) for one in parts]
    assert ["1", "1"] == [one.get("OBR", 1) for one in parts]


def test_apart_and_together_read_to_the_same_orders():
    def orders(messages):
        return [order for message in messages for one in read(message.raw, {}) for order in one.document["Orders"]]

    assert orders(written({})) == orders(written({"orders": "apart"}))


def test_a_message_with_one_order_stays_one():
    assert 1 == len(written({"orders": "apart"}, ORU[: ORU.index(b"ORC|RE|P2")]))


def test_a_destination_chooses_the_message_of_an_event_before_the_senders_own():
    [one] = written({"messages": {"Results": "OUL^R21"}})
    assert ("OUL", "R21", "OUL_R21") == tuple(one.get("MSH", 9, at) for at in (1, 2, 3))
    [one] = written({"messages": {"Results.Other": "OUL^R21"}})
    assert "R01" == one.get("MSH", 9, 2)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [({"Order": "OML^Q99"}, "no message of the trigger table"), ({"Order": "ORU^R01"}, "carries Results, not Order"), ({"Order": ""}, "no message")],
)
def test_a_choice_that_cannot_be_is_refused_when_it_is_saved(messages, reason):
    with pytest.raises(ValidationError, match=reason):
        Settings(messages=messages)


def test_old_versions_have_no_structure_and_no_character_set_in_msh():
    parts = {version: written({"version": version})[0] for version in ("2.1", "2.3", "2.3.1", "2.9")}
    assert {"2.1": None, "2.3": None, "2.3.1": "ORU_R01", "2.9": "ORU_R01"} == {version: one.get("MSH", 9, 3) for version, one in parts.items()}
    assert {"2.1": None, "2.3": "UNICODE UTF-8", "2.3.1": "UNICODE UTF-8", "2.9": "UNICODE UTF-8"} == {
        version: one.get("MSH", 18) for version, one in parts.items()
    }


def test_text_is_written_in_the_destinations_character_set_or_not_at_all():
    raw = ORU.replace(b"Doe", "Müller".encode())
    [one] = read(raw, {})
    body, _ = write(one.document, {"charset": "8859/1"}, "M1")
    assert (b"M\xfcller" in body, "8859/1", "Müller") == (True, parse(body).get("MSH", 18), read(body, {})[0].document["Patient"]["Demographics"]["LastName"])
    with pytest.raises(Unmappable, match="characters that ASCII does not have; choose UNICODE UTF-8"):
        write(one.document, {"charset": "ASCII"}, "M1")


@pytest.mark.parametrize("code", sorted(trigger_table()))
def test_every_message_of_the_table_can_be_chosen_for_its_model(code):
    for trigger, line in trigger_table()[code].items():
        if trigger != "*" and line.events:
            Settings(messages={line.model: f"{code}^{trigger}"})


def test_apart_every_order_takes_its_specimen_along():
    raw = (
        b"MSH|^~\\&|A|B|||20260102||OML^O33^OML_O33|C1|P|2.5.1\rPID|1||7\rSPM|1|S1||BLD\rORC|NW|1\rOBR|1|1||A^B^L\r"
        b"SPM|2|S2||UR\rORC|NW|3\rOBR|2|3||A^B^L\rORC|NW|5\rOBR|3|5||A^B^L\r"
    )
    parts = written({"orders": "apart"}, raw)
    assert [("S1", "1"), ("S2", "3"), ("S2", "5")] == [(one.get("SPM", 2), one.get("ORC", 2)) for one in parts]
    assert [["MSH", "PID", "SPM", "ORC", "OBR"]] * 3 == [lines(one) for one in parts]

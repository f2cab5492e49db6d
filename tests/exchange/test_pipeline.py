import pickle
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import orjson
import pytest

from carelane.domain.delivery import Entry
from carelane.domain.endpoint import Destination, Route, Source
from carelane.exchange.pipeline import Delivery, Transformed, Work, steps_of, transform, walk
from carelane.plugins import FormatShelf

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FORMATS = FormatShelf()
SOURCE = Source(5, UUID(int=21), 1, "feed", "development", "mllp", "hl7v2", {})
HEAD = "MSH|^~\\&|SIM|NORTH|HUB|X|20260101120000+0000||{kind}|C1|P|2.5.1\r"
PID = "PID|1||7^^^NORTH^MR||Alder^Elif||19960813|F|||||||||V1\r"
ADMISSION = (HEAD.format(kind="ADT^A01") + PID + "NK1|1|Roe^Al|SPO^Spouse^HL70063\rPV1|1|I\r").encode()
TWO_PATIENTS = (HEAD.format(kind="ADT^A17") + PID + "PV1|1|I\r" + PID.replace("7^^^", "8^^^") + "PV1|1|I\r").encode()


def entry(format="hl7v2"):
    return Entry(7, 3, UUID(int=11), 1, 5, NOW, NOW, b"sealed", 1, False, format, "PatientAdmin")


def destination(format="datamodel", **settings):
    return Destination(9, UUID(int=31), 2, "sink", "development", "webhook", format, settings)


def route(working_model="datamodel"):
    return Route(1, 7, 5, 9, "PatientAdmin", working_model)


def converted(raw=ADMISSION, to="datamodel", *, model="datamodel", came="hl7v2", source=SOURCE, **settings) -> Transformed:
    return transform(raw, entry(came), route(model), source, destination(to, **settings), FORMATS)


def bodies(done: Transformed):
    return [orjson.loads(one.body) for one in done.bodies]


def told(done: Transformed, kind: str):
    [bundle] = bodies(done)
    return next(one["resource"] for one in bundle.get("Resource", bundle)["entry"] if one["resource"]["resourceType"] == kind)


def test_a_document_says_who_sent_it_who_gets_it_and_how_both_find_it_again():
    [document] = bodies(converted())
    assert ({"ID": f"src_{21:032x}", "Name": "feed"}, [{"ID": f"dst_{31:032x}", "Name": "sink"}], [{"ID": f"msg_{11:032x}", "AttemptID": "dlv_7_3"}]) == tuple(
        document["Meta"][name] for name in ("Source", "Destinations", "Logs")
    )


def test_a_message_of_two_documents_is_two_bodies_told_apart_in_their_ids():
    done = converted(TWO_PATIENTS)
    assert ["-1", "-2"] == [one.suffix for one in done.bodies]
    assert ["dlv_7_3-1", "dlv_7_3-2"] == [one["Meta"]["Logs"][0]["AttemptID"] for one in bodies(done)]
    assert ["7", "8"] == [one["Patient"]["Identifiers"][0]["ID"] for one in bodies(done)]


def test_a_native_subscription_hands_on_the_bytes_as_they_came():
    [body] = converted(b"MSH|whatever", "hl7v2", model="native").bodies
    assert b"MSH|whatever" == body.body


def test_a_native_subscription_between_two_formats_says_so():
    done = converted(to="fhir", model="native")
    assert ([], "a native subscription needs one format at both ends; this one goes from hl7v2 to fhir") == (done.bodies, done.failure)


def test_what_cannot_be_read_is_a_failure_with_the_readers_reason():
    done = converted(b"MSH|^~\\&|A|B|C|D|20260101||ZZZ^Z99|1|P|2.5\r")
    assert ([], "MSH-9 names a message type this hub does not know") == (done.bodies, done.failure)


def test_a_fault_of_the_conversion_is_told_by_its_type_and_never_by_its_text():
    done = converted(b'{"Patient": "Alder', "fhir", model="fhir", came="fhir")
    assert ([], "the conversion failed unexpectedly (JSONDecodeError); the message is safe, report the error with its id") == (done.bodies, done.failure)


def test_a_document_that_cannot_be_written_has_no_bodies_and_keeps_what_reading_reported():
    done = converted(to="hl7v2", model="fhir")
    assert ([], True, True) == (done.bodies, done.failure.startswith("a FHIR subscription delivers FHIR"), "NK1-3.2" in done.unmapped)


def test_a_later_document_that_cannot_be_written_leaves_no_body_of_an_earlier_one():
    second = TWO_PATIENTS.replace(b"8^^^NORTH^MR||Alder", "8^^^NORTH^MR||Grün".encode())
    done = converted(second, "hl7v2", charset="ASCII")
    assert ([], True) == (done.bodies, done.failure is not None)


@pytest.mark.parametrize(("settings", "carried"), [({}, False), ({"leftovers": "carry"}, True)])
def test_leftovers_are_delivered_to_a_destination_that_asks_for_them(settings, carried):
    [document] = bodies(converted(**settings))
    assert carried == ("v2.MSH" in document["Meta"]["Extensions"])


def test_what_a_source_would_like_of_leftovers_is_not_asked():
    [document] = converted(source=replace(SOURCE, settings={"leftovers": "carry"})).documents
    assert "v2.MSH" not in document["Meta"]["Extensions"]


def test_a_subscription_without_its_source_is_delivered_without_naming_it():
    [document] = bodies(converted(source=None))
    assert "Source" not in document["Meta"]


def test_a_fhir_subscription_delivers_resources_in_their_envelope():
    [document] = bodies(converted(model="fhir"))
    assert ("FHIR.Event.PatientAdmin", "Bundle") == (document["Meta"]["DataModel"], document["Resource"]["resourceType"])


def renamed(work: Work) -> Work:
    """An operation on the data model: the patient is called otherwise."""
    return Work(work.delivery, tuple(replace(one, document=_with_name(one.document)) for one in work.documents))


def _with_name(document):
    patient = document["Patient"]
    return {**document, "Patient": {**patient, "Demographics": {**patient["Demographics"], "LastName": "Birch"}}}


def dropped(name: str, work: Work) -> Work:
    """An operation on FHIR: resources of a type go no further."""
    return Work(work.delivery, tuple(replace(one, document=_without(one.document, name)) for one in work.documents))


def _without(document, name):
    resource = document["Resource"]
    return {**document, "Resource": {**resource, "entry": [one for one in resource["entry"] if one["resource"]["resourceType"] != name]}}


def operated(*operations, to="datamodel", model="datamodel") -> Transformed:
    delivery = Delivery(ADMISSION, entry(), route(model), SOURCE, destination(to))
    return walk(Work(delivery), steps_of(delivery, FORMATS, operations))


def test_an_operation_changes_the_document_before_it_is_written():
    [document] = bodies(operated(renamed))
    assert "Birch" == document["Patient"]["Demographics"]["LastName"]


def test_fhir_is_told_what_an_operation_changed_and_not_what_came():
    assert "Birch" == told(operated(renamed, to="fhir"), "Patient")["name"][0]["family"]


def test_fhir_is_told_leftovers_of_a_document_that_an_operation_changed():
    plain, changed = (told(one, "RelatedPerson")["relationship"][0] for one in (converted(to="fhir"), operated(renamed, to="fhir")))
    assert "Spouse" in str(plain) and plain == changed


def test_operations_of_a_fhir_subscription_see_resources():
    kinds = [one["resource"]["resourceType"] for one in bodies(operated(partial(dropped, "RelatedPerson"), model="fhir"))[0]["Resource"]["entry"]]
    assert ("RelatedPerson" not in kinds, "Patient" in kinds) == (True, True)


def test_operations_are_done_in_their_order():
    seen = []
    done = operated(
        lambda work: seen.append("first") or work, renamed, lambda work: seen.append(work.documents[0].document["Patient"]["Demographics"]["LastName"]) or work
    )
    assert (["first", "Birch"], None) == (seen, done.failure)


def test_an_operation_that_fails_stops_its_own_delivery_only():
    done = operated(lambda work: work.documents[5])
    assert ([], "the conversion failed unexpectedly (IndexError); the message is safe, report the error with its id") == (done.bodies, done.failure)


def test_a_conversion_can_be_sent_to_another_process_and_its_result_back():
    given = pickle.loads(pickle.dumps((ADMISSION, entry(), route(), SOURCE, destination("fhir"), FORMATS)))
    done = transform(*given)
    assert (converted(to="fhir"), done) == (pickle.loads(pickle.dumps(done)), converted(to="fhir"))

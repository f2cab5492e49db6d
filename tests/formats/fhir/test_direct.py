"""Models that HL7 v2 has no messages for: into FHIR and back, with nothing lost, whatever a bundle of others looks like."""

import copy
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carelane.domain.errors import CarelaneError, PackBroken, Unmappable
from carelane.formats.fhir.direct.plans import PLANS
from carelane.formats.fhir.direct.remains import leaves, remains, with_remains
from carelane.formats.fhir.direct.write import compiled
from carelane.formats.fhir.format import FORMAT
from carelane.models.examples import example
from carelane.models.fhir import check_resource
from carelane.models.schemas import check, definitions, schema

EVENTS = sorted(PLANS)


def resources(bundle: dict, kind: str) -> list[dict]:
    return [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind]


def told(document: dict) -> dict:
    return {path: value for path, value in leaves({key: value for key, value in document.items() if key != "Meta"}) if value != ""}


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def full(model: str, event: str) -> dict:
    """A document with every member its schema names, each list with two."""
    store = definitions()

    def made(rules: dict, base: dict, depth: int) -> object:
        while "$ref" in rules:
            name, _, path = rules["$ref"].partition("#")
            base = store.get(name, base)
            rules = base
            for step in path.strip("/").split("/") if path.strip("/") else ():
                rules = rules[step]
        if "enum" in rules:
            return next(one for one in rules["enum"] if one is not None)
        if "properties" in rules:
            return {key: made(one, base, depth + 1) for key, one in rules["properties"].items() if key not in ("Extensions", "Meta")} if depth < 9 else {}
        kinds = rules.get("type", "string")
        kind = kinds if isinstance(kinds, str) else next(one for one in kinds if one != "null")
        if kind == "array":
            return [made(rules.get("items", {}), base, depth + 1) for _ in range(2)]
        if kind == "string":
            return "2026-03-02T14:30:00.000Z" if rules.get("format") == "date-time" else "2026-03-02" if rules.get("format") == "date" else f"text {depth}"
        return {"boolean": True, "integer": 3, "number": 2.5, "object": {}}[kind]

    whole = schema(model, event)
    found = made(whole, whole, 0)
    assert isinstance(found, dict)
    return {"Meta": example(model, event)["Meta"], **found}


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("make", [example, full])
def test_a_document_is_valid_fhir_and_comes_back_whole(name, make):
    model, _, event = name.rpartition(".")
    document = make(model, event)
    body, _ = FORMAT.write(document, {}, "M1")
    bundle = orjson.loads(body)
    assert [] == check_resource(bundle)
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    assert [] == [link for link in references(bundle) if link not in urls]
    [one] = FORMAT.read(body, {})
    assert told(document) == told(one.document)
    assert (model, event) == (one.document["Meta"]["DataModel"], one.document["Meta"]["EventType"])
    assert body == FORMAT.write(document, {}, "M1")[0]


@pytest.mark.parametrize("kind", ["message", "transaction", "collection"])
def test_real_summaries_come_back_whole_in_every_kind_of_bundle(shared, kind):
    paths = [path for path in sorted((shared / "redox-json").glob("Clinical_Summary.*")) if "Push" in path.name or "Response" in path.name]
    assert paths
    for path in paths:
        document = orjson.loads(path.read_bytes())
        body, _ = FORMAT.write(document, {"bundle": kind}, "M1")
        assert [] == check_resource(orjson.loads(body)), path.name
        [one] = FORMAT.read(body, {})
        assert told(document) == told(one.document), path.name
        assert [] == [issue for issue in check(one.document, "Clinical Summary", "PatientPush") if issue.code == "schema"]


def test_a_summary_is_a_composition_whose_sections_hold_lists_and_texts():
    document = {
        "Meta": {"DataModel": "Clinical Summary", "EventType": "PatientPush"},
        "Header": {"Patient": {"Identifiers": [{"ID": "7", "IDType": "MR"}], "Demographics": {"LastName": "Doe"}}},
        "AllergyText": "<b>none</b> & nothing",
        "Problems": [
            {"Code": "233604007", "CodeSystem": "2.16.840.1.113883.6.96", "Name": "Pneumonia", "Status": {"Name": "Resolved"}, "StartDate": "2012-08-06"}
        ],
    }
    bundle = orjson.loads(FORMAT.write(document, {}, "M1")[0])
    [composition], [condition], [patient] = (resources(bundle, kind) for kind in ("Composition", "Condition", "Patient"))
    assert ["48765-2", "11450-4"] == [section["code"]["coding"][0]["code"] for section in composition["section"]]
    assert "&lt;b&gt;none&lt;/b&gt; &amp; nothing" in composition["section"][0]["text"]["div"]
    assert {"system": "http://snomed.info/sct", "code": "233604007", "display": "Pneumonia"} == condition["code"]["coding"][0]
    assert ("resolved", "2012-08-06") == (condition["clinicalStatus"]["coding"][0]["code"], condition["onsetDateTime"])
    assert f"urn:uuid:{patient['id']}" == condition["subject"]["reference"] == composition["subject"]["reference"]


def test_a_diagnosis_that_was_ruled_out_is_refuted():
    document = {
        "Meta": {"DataModel": "Clinical Summary", "EventType": "VisitPush"},
        "AdmissionDiagnosis": [{"Code": "1", "Name": "x", "IsNegativeIndicator": True}],
    }
    [condition] = resources(orjson.loads(FORMAT.write(document, {}, "M1")[0]), "Condition")
    assert "refuted" == condition["verificationStatus"]["coding"][0]["code"]


def test_a_summary_of_others_is_read_by_its_sections():
    def condition(name: str) -> dict:
        return {
            "fullUrl": f"urn:uuid:{name}",
            "resource": {"resourceType": "Condition", "id": name, "code": {"text": name}, "subject": {"reference": "Patient/p"}},
        }

    sections = [
        {"code": {"coding": [{"system": "http://loinc.org", "code": code}]}, "entry": [{"reference": f"urn:uuid:{name}"}]}
        for code, name in (("11348-0", "old"), ("11450-4", "new"))
    ]
    narrative = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>No <b>known</b> allergies</p></div>'}
    sections.append({"code": {"coding": [{"code": "48765-2"}]}, "text": narrative})
    composition = {"resourceType": "Composition", "status": "final", "title": "T", "author": [{"display": "x"}], "type": {"text": "x"}, "section": sections}
    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"value": "7"}], "name": [{"family": "Doe"}]}
    entries = [{"resource": composition}, {"resource": patient}, condition("new"), condition("old")]
    body = orjson.dumps({"resourceType": "Bundle", "type": "document", "entry": entries})
    assert "Clinical Summary" in FORMAT.peek(body, {}).also
    document = FORMAT.read(body, {})[0].document
    assert ("new", "old") == (document["Problems"][0]["Name"], document["ResolvedProblems"][0]["Name"])
    assert ("No known allergies", "Doe") == (document["AllergyText"], document["Header"]["Patient"]["Demographics"]["LastName"])


def test_an_organization_alone_is_a_directory_entry_and_beside_a_patient_it_is_not():
    organization = {"resourceType": "Organization", "name": "Lakeside", "active": True, "address": [{"city": "Monroe"}]}
    [one] = FORMAT.read(orjson.dumps(organization), {})
    assert ("Organization", "Lakeside") == (one.document["Meta"]["DataModel"], one.document["Organizations"][0]["Name"])
    patient = {"resourceType": "Patient", "identifier": [{"value": "7"}]}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": organization}, {"resource": patient}]}
    assert "PatientAdmin" == FORMAT.read(orjson.dumps(bundle), {})[0].document["Meta"]["DataModel"]


values = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.floats(-9, 9)
trees = st.dictionaries(
    st.sampled_from(["A", "B", "Code"]),
    st.recursive(values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("AB"), inner, max_size=2), max_leaves=8),
)


@given(trees, trees)
def test_what_remains_makes_up_any_difference(original, back):
    found = remains(original, back)
    resource = {"extension": [found]} if found else {}
    mended = with_remains(copy.deepcopy(back), resource)
    wanted = {path: value for path, value in leaves(original) if value != ""}
    assert {path: value for path, value in leaves(mended) if path in wanted} == wanted


@pytest.mark.parametrize("name", EVENTS)
@settings(max_examples=15)
@given(data=st.data())
def test_a_broken_bundle_is_refused_with_a_sentence_or_read(name, data):
    model, _, event = name.rpartition(".")
    bundle = orjson.loads(FORMAT.write(full(model, event), {}, "M1")[0])
    for _ in range(data.draw(st.integers(1, 4))):
        paths = [path for path, _ in leaves(bundle) if "resource" in path and "resourceType" not in path]
        path = data.draw(st.sampled_from(paths))[: data.draw(st.integers(3, 9))]
        place = bundle
        for step in path[:-1]:
            place = place[int(step)] if isinstance(place, list) else place[step]
        key = int(path[-1]) if isinstance(place, list) else path[-1]
        if key != "resource":
            place[key] = data.draw(st.sampled_from([None, 1, "x", [], {}, [1], {"x": 1}, ["x"]]))
    try:
        FORMAT.read(orjson.dumps(bundle), {})
    except CarelaneError as error:
        assert str(error)


def test_a_map_with_a_path_that_is_none_names_the_row(tmp_path, monkeypatch):
    (tmp_path / "bad.yaml").write_text('pack: x\nversion: "1"\nfamily: x\nrows:\n- {id: wrong, target: a, source: A, via: nothing}\n')
    monkeypatch.setattr("carelane.formats.fhir.direct.write.MAPS", tmp_path)
    with pytest.raises(PackBroken, match="wrong"):
        compiled("bad")


def test_a_bundle_about_care_is_not_a_claim_because_it_holds_one():
    claim = {"resourceType": "Claim", "status": "active", "use": "claim", "patient": {"display": "x"}}
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "valueString": "y"}
    body = orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": claim}, {"resource": observation}]})
    assert "Results" == FORMAT.read(body, {})[0].document["Meta"]["DataModel"]


def test_a_document_without_a_resource_of_its_own_needs_a_message_bundle():
    document = {"Meta": {"DataModel": "Organization", "EventType": "New"}, "Directory": "Lakeside"}
    assert "Lakeside" == FORMAT.read(FORMAT.write(document, {}, "M1")[0], {})[0].document["Directory"]
    with pytest.raises(Unmappable):
        FORMAT.write(document, {"bundle": "collection"}, "M1")


def test_a_document_of_wrong_types_is_refused_where_it_breaks_its_schema():
    document = {
        "Meta": {"DataModel": "Organization", "EventType": "New"},
        "Directory": "x",
        "Organizations": [{"Active": True, "Name": "x", "Contacts": [{"PhoneNumber": 5}]}],
    }
    FORMAT.write(document, {}, "M1")
    broken = {"Meta": {"DataModel": "PatientAdmin", "EventType": "Arrival"}, "Patient": {"Identifiers": [], "Demographics": {"Address": "nowhere"}}}
    with pytest.raises(Unmappable, match="Address"):
        FORMAT.write(broken, {}, "M1")

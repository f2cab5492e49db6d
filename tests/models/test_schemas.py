import copy

import orjson
import pytest

from carelane.models.examples import example
from carelane.models.schemas import check, classic_models, definitions, known_model, model_events, names_of, schema, spelled, validator


def events():
    return [(model, event) for model in classic_models() for event in model_events()[model]]


@pytest.mark.parametrize(("model", "event"), events())
def test_every_schema_compiles_and_wants_its_meta(model, event):
    assert not validator(model, event).is_valid({})
    assert (event, model) == (
        schema(model, event)["title"].removeprefix(f"{model}."),
        schema(model, event)["properties"]["Meta"]["properties"]["DataModel"]["const"],
    )


def test_all_models_and_events_are_there():
    assert (23, 107, 32) == (len(classic_models()), len(events()), sum(len(found) for name, found in model_events().items() if name.startswith("FHIR.Event.")))


def _properties(rule):
    for name, inner in (rule.get("properties") or {}).items():
        yield name, inner
        yield from _properties(inner)
        yield from _properties(inner.get("items") or {})


def test_every_field_is_described_and_says_how_often_senders_fill_it():
    shapes = [shape for file in definitions().values() for name, shape in file["$defs"].items() if name != "Meta"]
    events_ = [{"properties": {name: rule for name, rule in schema(*one)["properties"].items() if name != "Meta"}} for one in events()]
    missing = [name for shape in shapes + events_ for name, rule in _properties(shape) if name != "Extensions"
               and not (rule.get("description") and rule.get("x-reliability") in ("required", "reliable", "probable", "possible"))]  # fmt: skip
    assert [] == missing


def test_extensions_may_stand_on_every_object():
    shapes = [shape for file in definitions().values() for shape in file["$defs"].values()]
    assert [] == [shape for shape in shapes if "Extensions" not in shape["properties"]]


def test_a_breach_names_the_very_place_and_rule_and_never_the_value():
    document = {"Meta": {"DataModel": "PatientAdmin", "EventType": "Arrival"}, "Patient": {"Identifiers": [{"ID": "secret", "IDType": 7}]}}
    [issue] = check(document, "PatientAdmin", "Arrival")
    assert ("/Patient/Identifiers/0/IDType", False) == (issue.target, "secret" in issue.text or "7" in issue.text)


def test_a_breach_inside_an_optional_object_is_found_where_it_is():
    document = {"Meta": {"DataModel": "Order", "EventType": "New"}, "Patient": {"Identifiers": []}, "Order": {"ID": "1"},
                "Visit": {"Guarantor": {"Sex": "F"}}}  # fmt: skip
    [issue] = check(document, "Order", "New")
    assert ("/Visit/Guarantor/Sex", "unknown-value") == (issue.target, issue.code)


def test_a_key_nobody_knows_is_kept_and_reported_once_and_not_repeated_when_it_looks_like_content():
    document = {"Meta": {"DataModel": "PatientAdmin", "EventType": "Arrival"},
                "Patient": {"Identifiers": [], "Shoes": 42, "Jane Doe, 12 Mill Lane": 1, "Contacts": [{"Shoes": 1}, {"Shoes": 2}]}}  # fmt: skip
    found = check(document, "PatientAdmin", "Arrival")
    assert {"/Patient/Shoes", "/Patient/…", "/Patient/Contacts/Shoes"} == {issue.target for issue in found}
    assert {"information"} == {issue.severity for issue in found}


def _objects(value, names, place=()):
    """Every object of a document whose names its schema knows, with the way there."""
    if isinstance(value, list):
        for at, one in enumerate(value):
            yield from _objects(one, names, (*place, at))
    elif isinstance(value, dict) and names:
        yield place
        for name, inner in value.items():
            if name != "Extensions":
                yield from _objects(inner, names[name], (*place, name))


def _with_shoes(document, place):
    found = whole = copy.deepcopy(document)
    for step in place:
        found = found[step]
    found["Shoes"] = 42
    return whole


@pytest.mark.parametrize(("model", "event"), events())
def test_a_key_nobody_knows_is_seen_on_every_object_and_in_extensions_on_none(model, event):
    whole = example(model, event)
    seen = [[issue.code for issue in check(_with_shoes(whole, place), model, event)] for place in _objects(whole, names_of(model, event))]
    assert (len(seen), [], []) == (seen.count(["unknown-key"]), check(whole, model, event), check({**whole, "Extensions": {"Shoes": {"any": 1}}}, model, event))


def test_names_find_their_spelling():
    assert ("PatientAdmin", None) == (spelled("patient-ADMIN", ["PatientAdmin"]), spelled("Patients", ["PatientAdmin"]))
    assert ("Clinical Summary", "FHIR.Encounter", None) == (known_model("ClinicalSummary"), known_model("fhir.encounter"), known_model("FHIR.Shoe"))
    assert "SignOn" == spelled("Sign-on", model_events()["SSO"])


def test_real_payloads_fit_but_for_known_strays(shared):
    """Unknown keys, numbers where text is due, values outside closed sets and what the senders left out; nothing else."""
    strays = {}
    for path in sorted((shared / "redox-json").glob("*.json")):
        document = orjson.loads(path.read_bytes())
        model = known_model(document["Meta"]["DataModel"])
        found = check(document, model, spelled(document["Meta"]["EventType"], model_events()[model]))
        strays[path.name] = [issue for issue in found if issue.code == "schema" and not issue.text.startswith("does not meet type")]
    assert {} == {name: found for name, found in strays.items() if found}

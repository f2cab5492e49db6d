import orjson
import pytest

from carelane.models.schemas import check, model_events, spelled, validator


def events():
    return [(model, event) for model, found in model_events().items() for event in found]


@pytest.mark.parametrize(("model", "event"), events())
def test_every_schema_compiles_and_wants_its_meta(model, event):
    assert not validator(model, event).is_valid({})
    assert validator(model, event) is not None


def test_all_events_of_the_two_models_are_there():
    assert {"PatientAdmin": 15, "Results": 4} == {model: len(found) for model, found in model_events().items()}


def test_every_field_is_described():
    from carelane.models import schemas

    shapes = orjson.loads((schemas._FOLDER / "shared.json").read_bytes())["$defs"]
    missing = [f"{name}.{field}" for name, shape in shapes.items() for field, rule in shape["properties"].items()
               if not rule.get("description") and name != "Meta" and field not in ("ResultCopyProviders",)]  # fmt: skip
    assert [] == missing


def test_a_breach_names_place_and_rule_and_never_the_value():
    document = {"Meta": {"DataModel": "PatientAdmin", "EventType": "Arrival"}, "Patient": {"Identifiers": [{"ID": "secret", "IDType": 7}]}}
    [issue] = check(document, "PatientAdmin", "Arrival")
    assert ("/Patient/Identifiers/0/IDType", False) == (issue.target, "secret" in issue.text or "7" in issue.text)


def test_names_find_their_spelling():
    assert ("PatientAdmin", None) == (spelled("patient-ADMIN", ["PatientAdmin"]), spelled("Patients", ["PatientAdmin"]))


def test_real_payloads_fit_but_for_known_strays(shared):
    breaches = {}
    for path in sorted((shared / "redox-json").glob("Results.*.json")):
        document = orjson.loads(path.read_bytes())
        found = check(document, "Results", document["Meta"]["EventType"])
        breaches[path.name] = [
            issue for issue in found if "RelationToPatient" not in issue.target and "Demographics" not in issue.target and "Visit" not in issue.target
        ]
    assert {} == {name: found for name, found in breaches.items() if found}

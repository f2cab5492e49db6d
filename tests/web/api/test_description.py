"""The description of the platform API is true: requests generated from it are answered as it says, whatever they hold."""

import asyncio
import itertools

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, response_headers_conformance, response_schema_conformance, status_code_conformance

from carelane.kit.ids import public
from carelane.web.api.app import make_api
from tests.web.api.reference import PAGE, page

_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance]
_OURSELVES = {("DELETE", "/members/{member}"), ("PUT", "/members/{member}/roles"), ("DELETE", "/personal-keys/{key}")}


def attack(base: str, key: str, ids: dict[str, str]) -> tuple[int, list[str]]:
    """Call every operation with generated requests, every other of which names things that exist; return how many, and what was wrong."""
    schema = schemathesis.openapi.from_url(f"{base}/platform/v1/openapi.json")
    sent, wrong = 0, []
    for result in schema.get_all_operations():
        try:
            sent += attack_one(result.ok(), key, ids)
        except FailureGroup as failures:
            wrong += [f"{result.ok().label}: {one}" for one in failures.exceptions]
    return sent, wrong


def attack_one(operation, key: str, ids: dict[str, str]) -> int:
    """Return how many requests were sent."""
    turns = itertools.count()
    spared = (operation.method.upper(), operation.path) in _OURSELVES

    @given(case=operation.as_strategy())
    @settings(max_examples=20, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def one(case):
        if next(turns) % 2 and not spared:
            case.path_parameters |= {name: ids[name] for name in case.path_parameters if name in ids}
        response = case.call(headers={"Authorization": f"Bearer {key}"})
        case.validate_response(response, checks=_CHECKS)

    one()
    return next(turns)


async def test_generated_requests_are_answered_as_described(ann, bob, office, base):
    request = {"partner": (await bob.ask("GET", "/organization"))[0]["id"], "purpose": "Care", "models": {"send": ["PatientAdmin"]}}
    connection = (await ann.ask("POST", "/connections", request, status=201))[0]["id"]
    await bob.ask("POST", f"/connections/{connection}/accept", status=200)
    ids = {
        "connection": connection, "organization": request["partner"], "source": (await ann.ask("GET", "/sources"))[0]["items"][0]["id"],
        "destination": (await ann.ask("GET", "/destinations"))[0]["items"][0]["id"], "subscription": (await ann.ask("GET", "/subscriptions"))[0]["items"][0]["id"],
        "member": (await ann.ask("GET", "/members"))[0]["items"][0]["id"], "lane": (await ann.ask("GET", "/lanes"))[0]["items"][0]["lane"],
        "data_model": "PatientAdmin", "event_type": "Arrival", "kind": "source",
    }  # fmt: skip
    sent, wrong = await asyncio.to_thread(attack, base, ann.key, ids)
    assert not wrong, "\n\n".join(wrong)
    assert sent > 700


def test_every_operation_is_described_with_words_problems_and_a_name_of_its_own():
    described = make_api(None).openapi()
    assert described["openapi"].startswith("3.1")
    operations = [(path, method, one) for path, methods in described["paths"].items() for method, one in methods.items()]
    assert [] == [(path, method) for path, method, one in operations if not one.get("description") or not one.get("summary") or not one.get("tags")]
    assert [] == [(path, method) for path, method, one in operations if "401" not in one["responses"]]
    assert [] == [(path, method) for path, method, one in operations for status, told in one["responses"].items()
                  if status >= "400" and "application/problem+json" not in told["content"]]  # fmt: skip
    names = [one["operationId"] for _, _, one in operations]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", ["/connections", "/subscriptions", "/sources", "/destinations", "/invitations", "/personal-keys", "/organizations"])
def test_creates_say_that_they_may_be_sent_again(path):
    operation = make_api(None).openapi()["paths"][path]["post"]
    assert "Idempotency-Key" in [one["name"] for one in operation["parameters"]]


def test_public_ids_have_a_prefix_in_the_description():
    described = make_api(None).openapi()["components"]["schemas"]
    assert "^con_[0-9a-f]{32}$" == described["ConnectionOut"]["properties"]["id"]["pattern"]
    assert public("con", 7).startswith("con_")


def test_the_reference_page_is_up_to_date():
    assert PAGE.read_text() == page(), "run: python -m tests.web.api.reference"

"""Every operation of the platform API × every role × own, other and unknown things: refused alike, and nothing breaks."""

import re

import pytest

from carelane.domain.office import Filter, Offer
from carelane.domain.permissions import Right, may
from carelane.kit.ids import public, uuid7
from carelane.web.api.app import make_api
from tests.offices import PASSWORD

ANYONE = None  # whoever has a key
# What each operation asks for. A new one has to be entered here before this suite passes.
MATRIX = {
    "GET /organization": ANYONE, "PATCH /organization": Right.PROFILE, "PUT /organization/logo": Right.PROFILE, "DELETE /organization/logo": Right.PROFILE, "GET /organizations": ANYONE, "POST /organizations": ANYONE, "GET /data-models": ANYONE,
    "GET /directory": Right.REQUEST_CONNECTION, "GET /directory/{organization}": Right.REQUEST_CONNECTION, "GET /audit": Right.AUDIT,
    "GET /members": Right.SEE_ROLES, "GET /members/{member}": Right.SEE_ROLES, "PUT /members/{member}/roles": Right.ENVIRONMENT_ROLES,
    "POST /members/{member}/roles/difference": Right.SEE_ROLES, "DELETE /members/{member}": Right.ORGANIZATION_ROLES, "GET /invitations": Right.INVITE,
    "POST /invitations": Right.INVITE, "DELETE /invitations/{invitation}": Right.INVITE, "GET /personal-keys": ANYONE, "POST /personal-keys": ANYONE,
    "DELETE /personal-keys/{key}": ANYONE, "GET /connections": ANYONE, "POST /connections": Right.REQUEST_CONNECTION, "GET /connections/{connection}": ANYONE,
    "GET /connections/{connection}/timeline": ANYONE, "POST /connections/{connection}/accept": Right.DECIDE_CONNECTION,
    "POST /connections/{connection}/decline": Right.DECIDE_CONNECTION, "POST /connections/{connection}/withdraw": Right.REQUEST_CONNECTION,
    "POST /connections/{connection}/suspend": Right.DECIDE_CONNECTION, "POST /connections/{connection}/resume": Right.DECIDE_CONNECTION,
    "POST /connections/{connection}/end": Right.DECIDE_CONNECTION, "GET /subscriptions": Right.SEE, "POST /subscriptions": Right.BUILD,
    "GET /subscriptions/{subscription}": Right.SEE, "PATCH /subscriptions/{subscription}": Right.BUILD, "POST /subscriptions/{subscription}/accept": Right.BUILD,
    "POST /subscriptions/{subscription}/pause": Right.OPERATE, "POST /subscriptions/{subscription}/resume": Right.OPERATE,
    "POST /subscriptions/{subscription}/drain": Right.BUILD, "POST /subscriptions/{subscription}/end": Right.BUILD, "GET /methods/{kind}": Right.SEE,
    "GET /sources": Right.SEE, "POST /sources": Right.BUILD, "GET /sources/{source}": Right.SEE, "PATCH /sources/{source}": Right.BUILD,
    "DELETE /sources/{source}": Right.BUILD, "GET /sources/{source}/uses": Right.SEE, "POST /sources/{source}/test": Right.BUILD,
    "POST /sources/{source}/keys": Right.BUILD, "GET /keys": Right.SEE, "DELETE /keys/{key}": Right.BUILD, "GET /destinations": Right.SEE,
    "POST /destinations": Right.BUILD, "GET /destinations/{destination}": Right.SEE, "PATCH /destinations/{destination}": Right.BUILD,
    "DELETE /destinations/{destination}": Right.BUILD, "GET /destinations/{destination}/uses": Right.SEE, "POST /destinations/{destination}/test": Right.BUILD,
    "POST /destinations/{destination}/verify": Right.BUILD, "GET /destinations/{destination}/inbox": Right.PAYLOADS, "GET /lanes": Right.SEE,
    "GET /lanes/{lane}": Right.SEE, "POST /lanes/{lane}/pause": Right.OPERATE, "POST /lanes/{lane}/resume": Right.OPERATE,
    "POST /lanes/{lane}/release": Right.OPERATE, "POST /lanes/{lane}/skip": Right.OPERATE, "GET /messages": Right.SEE, "GET /messages/{message}": Right.SEE,
    "POST /messages/{message}/replay": Right.OPERATE, "GET /samples/{data_model}/{event_type}": ANYONE, "POST /sources/{source}/send": Right.BUILD,
    "POST /destinations/{destination}/receive": Right.BUILD,
}  # fmt: skip
LAST = ("DELETE", "POST /connections/{connection}/end", "POST /subscriptions/{subscription}/end")  # after these, things are no longer what they were
ROLES = {"admin": ("admin", {}), "member": ("member", {}), "viewer": ("member", {"development": "viewer"}), "support": ("member", {"development": "support"}),
         "engineer": ("member", {"development": "engineer"})}  # fmt: skip


async def colleague(office, ann, name: str, role: str, environments: dict[str, str]):
    email = f"{name}-{uuid7().hex}@example.org"
    await office.team.join(await office.team.invite(ann, email=email, role=role, environments=environments, payloads=True), name=name, password=PASSWORD)
    return await office.person(email)


async def things(office, ann, sam, message: str) -> dict[str, str]:
    """One of each thing Ann's organization has; requests in both directions with organizations of their own."""
    sam_org, ann_org = (await office.team.me(sam)).uid, (await office.team.me(ann)).uid
    asked = await office.partners.request(sam, ann_org, purpose="care", offers=[Offer("Results", outward=True)])
    third = await office.sign_up(f"T{uuid7().hex}", f"Third {uuid7().hex}")
    await office.list_in_directory(third, third.org_name)
    mine = await office.partners.request(ann, (await office.team.me(third)).uid, purpose="care", offers=[Offer("Results", outward=True)])
    await office.team.invite(ann, email=f"{uuid7().hex}@example.org", role="member", environments={}, payloads=False)
    row = (await office.subscriptions.find(ann, Filter(text="Engine", sort="uid"))).rows[-1]
    source = next(one.uid for one in await office.endpoints.find(ann, "source", environment="development"))
    key, _ = await office.endpoints.create_key(ann, source, "Key")
    gone = await colleague(office, ann, "gone", "member", {})
    open_ = next(one for one in await office.team.invitations(ann) if one.accepted_at is None)
    uids = {one.email: one.uid for one in await office.team.members(ann)}
    return {
        "organization": public("org", sam_org), "member": public("usr", uids[gone.email]), "invitation": public("inv", open_.uid),
        "asked": public("con", asked), "mine": public("con", mine), "connection": public("con", row.connection), "subscription": public("sub", row.uid),
        "source": public("src", source), "destination": public("dst", (await office.endpoints.find(ann, "destination", environment="development"))[0].uid),
        "key": public("key", key), "lane": str(row.lane_id), "message": message, "kind": "source", "data_model": "PatientAdmin", "event_type": "Arrival",
    }  # fmt: skip


def filled(operation: str, ids: dict[str, str]) -> tuple[str, str]:
    method, path = operation.split()
    names = {"connection": "asked"} if path.endswith(("/accept", "/decline")) else {"connection": "mine"} if path.endswith("/withdraw") else {}
    if path.startswith("/subscriptions") and path.endswith("/accept"):
        names = {}
    if path.startswith("/personal-keys"):
        names = {"key": "personal"}
    return method, re.sub(r"{(\w+)}", lambda found: ids.get(names.get(found.group(1), found.group(1)), ""), path)


def body_of(operation: str, ids: dict[str, str]):
    """What an operation needs so that only the right to it decides."""
    roles = {"role": "member", "environments": {"development": "viewer"}}
    endpoint = {"name": f"New {uuid7().hex}", "environment": "development", "method": "http" if "sources" in operation else "inbox"}
    return {
        "PATCH /organization": {"about": "x"}, "PUT /organization/logo": {"image": "iVBORw0KGgo="}, "POST /organizations": {"name": "Another", "kind": "lab"}, "PUT /members/{member}/roles": roles,
        "POST /members/{member}/roles/difference": roles, "POST /invitations": {**roles, "email": f"{uuid7().hex}@example.org"},
        "POST /personal-keys": {"name": "x"}, "POST /connections": {"partner": ids["organization"], "purpose": "x", "models": {"send": ["Results"]}},
        "POST /connections/{connection}/decline": {"reason": "x"}, "POST /connections/{connection}/suspend": {}, "POST /connections/{connection}/end": {},
        "POST /subscriptions": {"source": ids["source"], "destination": ids["destination"], "dataModels": ["Results"]},
        "PATCH /subscriptions/{subscription}": {"name": "Renamed"}, "POST /subscriptions/{subscription}/end": {}, "POST /sources": endpoint,
        "PATCH /sources/{source}": {"enabled": True}, "POST /sources/{source}/keys": {"name": "x"}, "POST /destinations": endpoint,
        "PATCH /destinations/{destination}": {"enabled": True}, "POST /lanes/{lane}/skip": {"reason": "x"}, "POST /sources/{source}/send": {"body": "{"},
        "POST /destinations/{destination}/receive": {"body": "{"},
    }.get(operation)  # fmt: skip


@pytest.fixture
async def cast(office, ann):
    """Sam owns another organization that has nothing to do with Ann's."""
    sam = await office.sign_up("Sam", "Elsewhere")
    await office.list_in_directory(sam, "Elsewhere")
    return ann.person, sam


@pytest.fixture
async def message(ann):
    sample, _ = await ann.ask("GET", "/samples/PatientAdmin/Arrival", status=200)
    source = (await ann.ask("GET", "/sources"))[0]["items"][0]["id"]
    return (await ann.ask("POST", f"/sources/{source}/send", {"body": sample["body"]}, status=200))[0]["message"]


def test_every_operation_is_entered_in_the_matrix():
    described = make_api(None).openapi()["paths"]
    assert set(MATRIX) == {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}


@pytest.mark.parametrize("role", ["owner", *ROLES])
async def test_operations_answer_each_role_as_the_matrix_says(office, ann, cast, calling, message, role):
    owner, sam = cast
    caller = ann if role == "owner" else await calling(await colleague(office, owner, role, *ROLES[role]))
    ids = await things(office, owner, sam, message)
    uid, _ = await office.personal_keys.create(caller.person, "spare", 1)
    ids["personal"] = public("pky", uid)
    wrong = []
    for operation in sorted(MATRIX, key=lambda one: one.startswith(LAST)):
        method, path = filled(operation, ids)
        _, reply = await caller.ask(method, path, body_of(operation, ids))
        allowed = MATRIX[operation] is ANYONE or may(caller.person, MATRIX[operation])
        if reply.status >= 500 or reply.status == 422 or allowed == (reply.status == 404):
            wrong.append((operation, reply.status))
    assert not wrong, "\n".join(map(str, wrong))


async def test_things_of_others_and_things_that_are_not_answer_alike(office, cast, calling, message):
    owner, sam = cast
    caller = await calling(sam)
    ids = await things(office, owner, sam, message)
    ids["asked"] = ids["connection"]
    unknown = {name: public(text.split("_")[0], uuid7()) if "_" in text else text for name, text in ids.items()} | {"lane": "987654321"}
    wrong = []
    for operation in MATRIX:
        if "{" not in operation or re.search("{(kind|data_model|organization)}", operation) or operation.startswith("DELETE /personal"):
            continue
        answers = []
        for which in (ids, unknown):
            method, path = filled(operation, which)
            told, reply = await caller.ask(method, path, body_of(operation, ids))
            answers.append((reply.status, told))
        if answers[0] != answers[1] or answers[0][0] != 404:
            wrong.append((operation, *answers))
    assert not wrong, "\n".join(map(str, wrong))

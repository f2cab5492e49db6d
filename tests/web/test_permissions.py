"""Every page and every form × every role × own, other and unknown things: the refused answer alike, and nothing breaks."""

import aiohttp
import pytest
from starlette.routing import Route

from carelane.domain.permissions import Right, may, rights
from carelane.kit.ids import public, uuid7
from carelane.web.server import running
from tests.journeys.hubs import running_hub
from tests.offices import PASSWORD, Office

SAME = {"sec-fetch-site": "same-origin"}
ANYONE = None  # whoever is signed in
PUBLIC = {"/", "/health", "/sign-in", "/sign-up", "/join/{token}", "/endpoint", "/hl7v2", "/fhir", "/sign-out", "/switch", "/organizations/new"}

# What each page and each form asks for. A new route has to be entered here before this suite passes.
PAGES = {
    "/welcome": Right.SEE, "/connections": ANYONE, "/connections/requests": ANYONE, "/connections/directory": ANYONE, "/connections/directory/{id}": ANYONE,
    "/connections/{id:str}": Right.SEE, "/connections/{id:str}/agreement": ANYONE, "/subscriptions": Right.SEE, "/subscriptions.csv": Right.SEE,
    "/subscriptions/new": Right.SEE, "/subscriptions/{id}": Right.SEE, "/subscriptions/{id}/panel": Right.SEE, "/developer": ANYONE, "/developer/keys": Right.SEE,
    "/developer/{kind}": Right.SEE, "/developer/{kind}/new": Right.BUILD, "/developer/{kind}/drafts/{id}": Right.BUILD, "/developer/{kind}/{id}": Right.SEE,
    "/developer/destinations/{id}/inbox": Right.PAYLOADS, "/developer/tools": Right.BUILD, "/messages": Right.SEE, "/team": Right.SEE_ROLES, "/team/{id}": Right.SEE_ROLES,
    "/organization": ANYONE, "/audit": Right.AUDIT, "/developer/personal-keys": ANYONE,
}  # fmt: skip
FORMS = {
    "/connections/directory/{id}": Right.REQUEST_CONNECTION, "/connections/{id:str}/{verb}": Right.DECIDE_CONNECTION, "/subscriptions/new": Right.BUILD,
    "/subscriptions/{id}/{verb}": Right.OPERATE, "/developer/keys": Right.BUILD, "/developer/keys/{id}/revoke": Right.BUILD, "/developer/{kind}/new": Right.BUILD,
    "/developer/{kind}/drafts/{id}": Right.BUILD, "/developer/{kind}/{id}": Right.BUILD, "/developer/{kind}/{id}/{verb}": Right.BUILD,
    "/developer/tools": Right.BUILD, "/team/invitations": Right.INVITE, "/team/invitations/{id}/revoke": Right.INVITE, "/team/{id}/preview": Right.SEE_ROLES,
    "/team/{id}": Right.ENVIRONMENT_ROLES, "/organization": Right.PROFILE, "/messages": Right.SEE,
    "/developer/personal-keys": ANYONE, "/developer/personal-keys/{id}/revoke": ANYONE, "/environment": ANYONE, "/organization/logo": Right.PROFILE,
}  # fmt: skip
ELSEWHERE = {  # lists of ids, streams and deletions: tested by name in their own suites
    "/connections/{id:str}/live", "/developer/tools/{id}", "/messages/{id}", "/messages/{id}/replay", "/subscriptions/bulk", "/team/{id}/remove",
    "/developer/{kind}/drafts/{id}/drop", "/organizations/{id}/logo",
}  # fmt: skip
ROLES = {"admin": ("admin", {}), "member": ("member", {}), "viewer": ("member", {"development": "viewer"}), "support": ("member", {"development": "support"}),
         "engineer": ("member", {"development": "engineer"})}  # fmt: skip


@pytest.fixture
async def office(store):
    made = Office(store)
    yield made
    await made.tools.http.close()


@pytest.fixture
async def cast(office):
    """Ann owns; five colleagues with one role each; Sam owns another organization that has nothing to do with them."""
    ann = await office.sign_up("Ann", "North Hospital")
    people = {"owner": ann}
    for name, (role, environments) in ROLES.items():
        token = await office.team.invite(ann, email=f"{name}@example.org", role=role, environments=environments, payloads=True)
        await office.team.join(token, name=name, password=PASSWORD)
        people[name] = await office.person(f"{name}@example.org")
    people["stranger"] = await office.sign_up("Sam", "Elsewhere")
    return people


async def things(office, ann) -> dict[str, str]:
    """One of each thing that Ann's organization has."""
    from carelane.domain.office import Filter

    row = (await office.subscriptions.find(ann, Filter(text="Engine"))).rows[0]
    source = (await office.endpoints.find(ann, "source"))[0].uid
    draft = await office.endpoints.save_draft(ann, None, "destination", environment="development", name="Half", transport="inbox", settings={}, secret={})
    await office.endpoints.create_key(ann, source, "Key")
    await office.team.invite(ann, email=f"{uuid7().hex}@example.org", role="member", environments={}, payloads=False)
    return {
        "con": public("con", row.connection), "sub": public("sub", row.uid), "src": public("src", source), "dft": public("dft", draft),
        "dst": public("dst", (await office.endpoints.find(ann, "destination"))[0].uid), "key": public("key", (await office.endpoints.keys(ann))[0].uid),
        "usr": public("usr", (await office.team.members(ann))[0].uid), "inv": public("inv", (await office.team.invitations(ann))[0].uid),
    }  # fmt: skip


def filled(path: str, ids: dict[str, str]) -> str:
    prefix = next((prefix for start, prefix in (("/connections/directory", "org"), ("/connections", "con"), ("/subscriptions", "sub"), ("/developer/keys", "key"), ("/developer/personal-keys", "pky"),
                   ("/developer/{kind}/drafts", "dft"), ("/developer/destinations", "dst"), ("/developer/{kind}", "dst"), ("/team/invitations", "inv"),
                   ("/team", "usr")) if path.startswith(start)), "")  # fmt: skip
    verb = {"con": "resume", "sub": "pause", "dst": "test"}.get(prefix, "")
    return path.replace("{id:str}", "{id}").replace("{id}", ids.get(prefix, "")).replace("{kind}", "destinations").replace("{verb}", verb)


def data_of(path: str, ids: dict[str, str]) -> dict[str, str]:
    """What a form needs so that only the right to it decides."""
    return {
        "/subscriptions/new": {"source": ids["src"], "destination": ids["dst"], "model": "Nothing"}, "/developer/keys": {"source": ids["src"], "name": ""},
        "/developer/tools": {"source": ids["src"], "body": "{"}, "/team/{id}": {"role": "owner", "env-development": "engineer"},
    }.get(path, {})  # fmt: skip


async def session(base: str, person) -> aiohttp.ClientSession:
    made = aiohttp.ClientSession(base, cookie_jar=aiohttp.CookieJar(unsafe=True), headers=SAME)
    async with made.post("/sign-in", data={"email": person.email, "password": PASSWORD}, allow_redirects=False) as reply:
        assert 303 == reply.status
    return made


async def test_every_route_is_entered_in_the_matrix(store):
    async with running_hub(store) as hub:
        paths = {(route.path, method) for route in hub.app.routes if isinstance(route, Route) for method in (route.methods or {"GET"}) - {"HEAD"}}
    known = {(path, "GET") for path in PAGES} | {(path, "POST") for path in FORMS}
    assert set() == {(path, method) for path, method in paths if path not in PUBLIC | ELSEWHERE and not path.startswith("/platform")} - known


async def test_pages_and_forms_answer_each_role_as_the_matrix_says(store, office, cast):
    await office.list_in_directory(cast["stranger"], "Elsewhere")
    wrong = []
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port:
        for name, person in cast.items():
            if name == "stranger":
                continue
            ids = await things(office, cast["owner"])
            ids["org"] = public("org", (await office.team.me(cast["stranger"])).uid)
            ids["pky"] = public("pky", (await office.personal_keys.create(person, "x", 1))[0])
            async with await session(f"http://127.0.0.1:{port}", person) as web:
                for method, table in (("GET", PAGES), ("POST", FORMS)):
                    for path, right in table.items():
                        status = await asked(web, method, filled(path, ids), data_of(path, ids))
                        allowed = right is ANYONE or may(person, right)
                        if status >= 500 or allowed == (status == 404):
                            wrong.append((name, method, path, status))
    assert not wrong, "\n".join(map(str, wrong))


async def test_things_of_others_and_things_that_are_not_answer_alike(store, office, cast):
    ids = await things(office, cast["owner"])
    ids["pky"] = public("pky", (await office.personal_keys.create(cast["owner"], "x", 1))[0])
    unknown = {prefix: public(prefix, uuid7()) for prefix in (*ids, "org")}
    ids["org"] = public("org", (await office.team.me(cast["owner"])).uid)
    wrong = []
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port, await session(f"http://127.0.0.1:{port}", cast["stranger"]) as web:
        for method, table in (("GET", PAGES), ("POST", FORMS)):
            for path in table:
                if "{id" not in path:
                    continue
                texts = []
                for which in (ids, unknown):
                    async with web.request(method, filled(path, which), allow_redirects=False, data=data_of(path, ids) if method == "POST" else None) as reply:
                        texts.append((reply.status, (await reply.text()).replace(which.get("con", "-"), "")))
                if texts[0] != texts[1] or texts[0][0] != 404:
                    wrong.append((method, path, texts[0][0], texts[1][0]))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("identity", ["x", "con_", "con_zz", "sub_" + "0" * 31, "con_" + "0" * 5000, "..%2f..%2fetc"])
async def test_ids_that_are_none_are_not_found(store, office, cast, identity):
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port, await session(f"http://127.0.0.1:{port}", cast["owner"]) as web:
        for path in ("/connections/", "/subscriptions/", "/developer/sources/", "/team/", "/messages/"):
            assert 404 == await asked(web, "GET", path + identity)


async def asked(web, method: str, path: str, data: dict[str, str] | None = None) -> int:
    async with web.request(method, path, allow_redirects=False, data=data or {} if method == "POST" else None) as reply:
        await reply.read()
        return reply.status


def test_the_rights_of_an_owner_who_builds_are_all_there_are():
    everything = rights("owner", {"development": "engineer"}, payloads=True)
    assert {str(right) for right in Right} == {text.removesuffix(" in development") for text in everything}

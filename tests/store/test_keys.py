import base64
import stat

import pytest

from carelane.domain.errors import Misconfigured
from carelane.kit.ids import uuid7
from carelane.kit.seal import Key, Unsealable, new_key
from carelane.store.keys import Keyring, load_master_key
from tests.world import make_world


def test_the_master_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    first = load_master_key(tmp_path, None)
    assert 0o400 == stat.S_IMODE((tmp_path / "master.key").stat().st_mode)
    assert first.digest("x") == load_master_key(tmp_path, None).digest("x")


def test_a_master_key_that_others_can_read_is_refused_with_the_command_that_mends_it(tmp_path):
    load_master_key(tmp_path, None)
    (tmp_path / "master.key").chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 400"):
        load_master_key(tmp_path, None)


@pytest.mark.parametrize("text", ["short", base64.b64encode(b"x" * 31).decode(), "!!!!"])
def test_a_wrong_master_key_in_the_environment_says_how_to_make_one(tmp_path, text):
    with pytest.raises(Misconfigured, match="openssl rand"):
        load_master_key(tmp_path, text)


async def test_organizations_cannot_open_each_others_values(store):
    world = await make_world(store)
    thing = uuid7()
    key_id, sealed = store.keyring.seal(world.hospital, thing, "message", b"secret")
    assert b"secret" == store.keyring.unseal(world.hospital, thing, "message", key_id, sealed)
    for org, message, kind in ((world.vendor, thing, "message"), (world.hospital, uuid7(), "message"), (world.hospital, thing, "reply")):
        with pytest.raises(Unsealable):
            store.keyring.unseal(org, message, kind, key_id, sealed)


async def test_search_tokens_of_one_value_differ_between_organizations(store):
    world = await make_world(store)
    assert store.keyring.token(world.hospital, "patient", "4711") == store.keyring.token(world.hospital, "patient", " 4711 ")
    assert store.keyring.token(world.hospital, "patient", "4711") != store.keyring.token(world.vendor, "patient", "4711")


async def test_another_master_key_is_refused_by_name(store):
    await make_world(store)
    with pytest.raises(Misconfigured, match="restore keys/master.key"):
        await Keyring(Key(new_key())).load(store.database)


async def test_no_plain_text_is_in_the_database(store):
    from carelane.store.ledger import Ledger
    from tests.journeys.hubs import ingest_into

    world = await make_world(store)
    await ingest_into(store, Ledger(store.database), world, b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|C1|P|2.5\rPID|1||SECRETPATIENT||SECRETNAME\r")
    rows = await store.database.engine.fetch("SELECT * FROM message JOIN message_body USING (org_id, day, id)")
    assert 1 == len(rows) and "SECRET" not in str(rows) and b"SECRET" not in bytes(rows[0]["body"])

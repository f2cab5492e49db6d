"""People who look for unused keys see when each was used last."""

from carelane.kit.clock import utc_now
from carelane.store.catalogue.endpoint import key_hash
from carelane.store.keyuse import KeyUse
from tests.offices import Office


async def test_a_noted_use_is_written_once_and_an_unused_key_stays_unused(store):
    office = Office(store)
    ann = await office.sign_up("Ann", "North Hospital")
    source = (await office.endpoints.find(ann, "source"))[0].uid
    (used, token), (unused, _) = await office.endpoints.create_key(ann, source, "used"), await office.endpoints.create_key(ann, source, "unused")
    uses = KeyUse(store.database)
    uses.note(key_hash(token))
    await uses.write()
    await uses.write()
    seen = {key.uid: key.last_used_at for key in await office.endpoints.keys(ann)}
    assert seen[unused] is None
    assert (utc_now() - seen[used]).total_seconds() < 60
    await office.tools.http.close()

"""What every sender must do. A test class inherits it and provides ``partner`` (an async context giving a working pair)."""

import inspect

import pytest
from pydantic import SecretStr

from carelane.exchange.ports import NotSent, Parcel
from carelane.kit.ids import uuid7
from carelane.plugins import form, load

HL7 = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|C1|P|2.5\rPID|1||7\r"


def parcel(body: bytes = HL7, attempt: int = 1) -> Parcel:
    """Make a parcel."""
    return Parcel("dlv_1_1", uuid7(), attempt, body, "application/json")


class PluginSuite:
    """Shape of a plug-in file; provide ``family`` and ``name``."""

    family = "transports"
    name = ""

    def test_it_says_what_it_is(self):
        module = load(self.family, self.name)
        assert module.__doc__ and "Maturity:" in module.__doc__
        assert isinstance(module.TITLE, str) and module.TITLE
        assert isinstance(module.REQUIRES, str)

    def test_every_setting_has_help_and_an_example(self):
        fields = load(self.family, self.name).Settings.model_fields
        assert [] == [name for name, info in fields.items() if not info.description or not info.examples]

    def test_its_form_is_made_from_its_settings(self):
        assert list(load(self.family, self.name).Settings.model_fields) == [field.name for field in form(self.family, self.name)]

    def test_secrets_never_print(self):
        module = load(self.family, self.name)
        secret = {name for name, info in module.Settings.model_fields.items() if info.annotation is SecretStr}
        assert secret == {field.name for field in form(self.family, self.name) if field.secret}

    def test_it_can_be_probed(self):
        assert inspect.iscoroutinefunction(load(self.family, self.name).probe)


class SenderSuite(PluginSuite):
    """Behaviour of a sender; provide the fixtures ``sender`` (works), ``delivered`` (bodies that arrived) and ``nowhere`` (no one there)."""

    async def test_a_parcel_arrives_whole(self, sender, delivered):
        await sender.send(parcel())
        assert [HL7] == await delivered()

    async def test_parcels_arrive_in_order(self, sender, delivered):
        bodies = [HL7.replace(b"C1", f"C{number}".encode()) for number in range(5)]
        for number, body in enumerate(bodies):
            await sender.send(Parcel(f"dlv_1_{number}", uuid7(), 1, body, "application/json"))
        assert bodies == await delivered()

    async def test_it_goes_on_after_a_reset(self, sender, delivered):
        await sender.send(parcel())
        await sender.reset()
        await sender.send(Parcel("dlv_1_2", uuid7(), 1, HL7, "application/json"))
        assert 2 == len(await delivered())

    async def test_it_says_how_long_a_send_may_take(self, sender):
        assert 0 < sender.longest_s <= 300

    async def test_nothing_sent_is_told_apart(self, nowhere):
        if nowhere is None:
            pytest.skip("this transport cannot fail to connect")
        with pytest.raises(NotSent):
            await nowhere.send(parcel())

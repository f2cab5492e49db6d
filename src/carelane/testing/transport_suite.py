"""What every sender must do. A test class inherits it and provides the fixtures its docstring names."""

import asyncio
import inspect
import math
from dataclasses import replace

import pytest
from pydantic import SecretStr

from carelane.exchange.ports import NotSent, Parcel, SenderOfMany, Taken
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

    def test_every_number_has_an_upper_bound(self):
        fields = load(self.family, self.name).Settings.model_fields
        numbers = {name: info for name, info in fields.items() if info.annotation in (int, float)}
        assert [] == [name for name, info in numbers.items() if not any(math.isfinite(getattr(one, "le", math.inf)) for one in info.metadata)]

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
        assert 0 < sender.longest_s <= 310

    async def test_it_says_how_many_sends_may_run_at_once(self, sender):
        assert isinstance(sender.concurrency, int) and 1 <= sender.concurrency <= 256

    async def test_so_many_sends_at_once_all_arrive(self, sender, delivered):
        parcels = [replace(parcel(HL7.replace(b"C1", f"C{number}".encode())), delivery_id=f"dlv_{number}_1") for number in range(sender.concurrency)]
        await asyncio.gather(*(sender.send(one) for one in parcels))
        assert sorted(one.body for one in parcels) == sorted(await delivered())

    async def test_a_parcel_that_may_not_leave_does_not(self, sender, delivered):
        with pytest.raises(NotSent):
            await sender.send(replace(parcel(), may_leave=lambda: False))
        assert [] == await delivered()

    async def test_it_asks_once_for_each_parcel_and_goes_on_after_a_no(self, sender, delivered):
        """A second look would leave room for two answers; the connection that was not used may be used by the next."""
        answers, asked = iter((False, True)), []

        def may() -> bool:
            asked.append(next(answers))
            return asked[-1]

        with pytest.raises(NotSent):
            await sender.send(replace(parcel(), may_leave=may))
        await sender.send(replace(parcel(), may_leave=may))
        assert ([False, True], [HL7]) == (asked, await delivered())

    async def test_nothing_sent_is_told_apart(self, nowhere):
        if nowhere is None:
            pytest.skip("this transport cannot fail to connect")
        with pytest.raises(NotSent):
            await nowhere.send(parcel())


class SenderOfManySuite:
    """Behaviour of a sender that takes several at once, beside ``SenderSuite`` and with its fixtures."""

    async def test_several_handed_over_together_arrive_in_order(self, sender, delivered):
        assert Taken(3) == await sender.send_many(_three())
        assert [one.body for one in _three()] == await delivered()

    async def test_nothing_of_a_batch_leaves_once_the_lane_is_lost(self, sender, delivered):
        with pytest.raises(NotSent):
            await sender.send_many([replace(one, may_leave=lambda: False) for one in _three()])
        assert [] == await delivered()

    async def test_it_says_how_many_it_takes_at_once(self, sender):
        assert isinstance(sender, SenderOfMany) and 1 < sender.most_at_once


_SAME = uuid7()


def _three() -> list[Parcel]:
    return [Parcel(f"dlv_1_{number}", _SAME, 1, HL7.replace(b"C1", f"C{number}".encode()), "application/json") for number in range(1, 4)]

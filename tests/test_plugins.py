"""The shelf, and the proof that adding a transport is adding a file."""

import shutil
import sys
import textwrap
from pathlib import Path

import pytest

import carelane.transports
from carelane import plugins
from carelane.domain.errors import Misconfigured
from carelane.testing.transport_suite import PluginSuite

CARRIER_PIGEON = '''
    """Carrier pigeon: one message a bird.

    Maturity: bronze.
    """

    from pydantic import BaseModel, ConfigDict, Field, SecretStr

    from carelane.domain.delivery import Judgement, Verdict
    from carelane.exchange.ports import Parcel, Reply, Tools

    TITLE = "Carrier pigeon"
    REQUIRES = ""


    class Settings(BaseModel):
        """Which loft."""

        model_config = ConfigDict(extra="forbid")

        loft: str = Field(description="Where the bird flies.", examples=["Roof 3"])
        ring: SecretStr = Field(SecretStr(""), description="Number on its ring.", examples=["12"])


    class Sender:
        longest_s = 10.0

        def __init__(self, destination, settings, tools):
            self.flown = []

        async def send(self, parcel: Parcel) -> Reply:
            self.flown.append(parcel.body)
            return Reply(judgement=Judgement(Verdict.DELIVERED))

        async def reset(self) -> None: ...
        async def close(self) -> None: ...


    async def probe(settings: Settings, tools: Tools) -> Judgement:
        return Judgement(Verdict.DELIVERED, "cooing")
'''


@pytest.fixture(scope="module")
def pigeon():
    """Drop one file into the folder, and take it away again."""
    path = Path(carelane.transports.__file__).parent / "pigeon.py"
    path.write_text(textwrap.dedent(CARRIER_PIGEON).lstrip())
    plugins.names.cache_clear()
    yield path
    path.unlink()
    shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
    plugins.names.cache_clear()
    plugins.load.cache_clear()
    sys.modules.pop("carelane.transports.pigeon", None)


def test_a_dropped_file_is_listed(pigeon):
    assert "pigeon" in plugins.names("transports")


def test_its_form_is_generated(pigeon):
    assert [("loft", "Where the bird flies.", True, False, "text"), ("ring", "Number on its ring.", False, True, "secret")] == [
        (field.name, field.help, field.required, field.secret, field.kind) for field in plugins.form("transports", "pigeon")
    ]


@pytest.mark.usefixtures("pigeon")
class TestPigeon(PluginSuite):
    name = "pigeon"


def test_the_built_in_transports_are_listed():
    assert {"http", "inbox", "mllp", "webhook"} <= set(plugins.names("transports"))


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(Misconfigured, match="did you mean webhook"):
        plugins.load("transports", "webhok")


def test_settings_that_cannot_work_name_each_field_and_no_value():
    with pytest.raises(Misconfigured, match=r"port: .*less than or equal to 65535") as caught:
        plugins.settings_of("transports", "mllp", {"port": 99999, "tls_key": "s3cret"})
    assert "99999" not in str(caught.value) and "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", plugins.names("transports"))
def test_where_a_transport_listens_is_told_by_two_of_its_settings_or_not_at_all(name):
    module = plugins.load("transports", name)
    assert set() == set(getattr(module, "LISTENS", ())) - set(module.Settings.model_fields)


def test_a_source_listens_on_its_port_and_a_destination_on_none():
    shelf = plugins.EndpointShelf(None)
    found = [shelf.port_of("source", "mllp", {}), shelf.port_of("destination", "mllp", {}), shelf.port_of("source", "http", {})]
    assert ([2575, None, None], "port", None) == (found, shelf.listens("source", "mllp"), shelf.listens("destination", "mllp"))


def test_choices_and_switches_have_their_own_kinds():
    kinds = {field.name: (field.kind, field.choices) for field in plugins.form("transports", "mllp")}
    assert (("choice", ("close", "reject")), ("switch", ())) == (kinds["on_store_trouble"], kinds["tls"])

"""The shelf: a plug-in's file name is its key; it is imported when asked for. Other packages join by entry points."""

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError

from carelane.domain.delivery import Judgement
from carelane.domain.endpoint import Destination, Source
from carelane.domain.errors import Misconfigured
from carelane.domain.listening import ListenPorts
from carelane.domain.office import FormField
from carelane.exchange.ports import Accept, Format, Listener, Sender, Tools
from carelane.kit.hosts import check_listen_address

_HOMES: Mapping[str, str] = {family: f"carelane.{family}" for family in ("transports", "repositories", "formats")}


@cache
def names(family: str) -> tuple[str, ...]:
    """Return the keys on the shelf of a family, built-in and installed."""
    built_in = {found.name for found in pkgutil.iter_modules(importlib.import_module(_HOMES[family]).__path__) if not found.name.startswith("_")}
    return tuple(sorted(built_in | {found.name for found in entry_points(group=f"carelane.{family}")}))


@cache
def load(family: str, name: str) -> ModuleType:
    """Import a plug-in.

    Raises:
        Misconfigured: there is none of this name (the nearest is told), or a package it needs is missing.
    """
    if name not in names(family):
        near = difflib.get_close_matches(name, names(family), 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names(family))}"
        raise Misconfigured(f"there is no {family.removesuffix('s')} named {name}; {hint}")
    try:
        for found in entry_points(group=f"carelane.{family}", name=name):
            module = found.load()
            if isinstance(module, ModuleType):
                return module
        path = f"{_HOMES[family]}.{name}" + (".format" if family == "formats" else "")
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        raise Misconfigured(f"{name} needs the package {error.name}; install it with: pip install 'carelane[{name}]'") from error


def form(family: str, name: str) -> list[FormField]:
    """Return the fields of a plug-in's form, from its settings."""
    fields = []
    for field_name, info in load(family, name).Settings.model_fields.items():
        kind, choices = _kind(info.annotation)
        example = info.examples[0] if info.examples else ""
        default = "" if info.annotation is SecretStr else info.get_default(call_default_factory=True)
        fields.append(
            FormField(
                field_name,
                _title(field_name),
                info.description or "",
                str(example),
                kind,
                info.is_required(),
                info.annotation is SecretStr,
                choices,
                default,
            )
        )
    return fields


_WORDS = {"url": "URL", "tls": "TLS", "ca": "CA", "s": "(seconds)", "bytes": "(bytes)"}


def _title(field_name: str) -> str:
    """``timeout_s`` → *Timeout (seconds)*."""
    text = " ".join(_WORDS.get(word, word) for word in field_name.split("_"))
    return text[:1].upper() + text[1:]


def _kind(annotation: Any) -> tuple[str, tuple[str, ...]]:
    if get_origin(annotation) is Literal:
        return "choice", tuple(str(choice) for choice in get_args(annotation))
    if get_origin(annotation) is list:
        return "list", ()
    return {bool: "switch", int: "number", float: "number", SecretStr: "secret"}.get(annotation, "text"), ()


def settings_of(family: str, name: str, values: Mapping[str, object]) -> BaseModel:
    """Check settings as a plug-in wants them.

    Raises:
        Misconfigured: naming each field and what is wrong with it, never its value.
    """
    model: type[BaseModel] = load(family, name).Settings
    known = {key: value for key, value in values.items() if key in model.model_fields}
    try:
        return model.model_validate(known)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False, include_url=False))
        raise Misconfigured(f"the settings of {name} cannot work: {told}") from None


def port_of(transport: str, settings: Mapping[str, object]) -> int | None:
    """Return the port a source listens on, None for a transport without one of its own.

    Raises:
        Misconfigured: a setting cannot work, or the address is none of this machine's.
    """
    listens: tuple[str, str] | None = getattr(load("transports", transport), "LISTENS", None)
    if listens is None:
        return None
    made = settings_of("transports", transport, settings)
    address, port = (getattr(made, name) for name in listens)
    try:
        check_listen_address(address)
    except ValueError as error:
        raise Misconfigured(f"the settings of {transport} cannot work: {listens[0]}: {error}") from None
    return int(port)


@dataclass(frozen=True)
class TransportShelf:
    """Makes senders and listeners by the name of their transport; repositories send too. Sources listen on ``ports`` only."""

    ports: ListenPorts

    def sender(self, destination: Destination, tools: Tools) -> Sender:
        """Make a sender."""
        family = "repositories" if destination.transport in names("repositories") else "transports"
        module = load(family, destination.transport)
        if not hasattr(module, "Sender"):
            raise Misconfigured(f"{destination.transport} cannot deliver; choose another method for {destination.name}")
        made: Sender = module.Sender(destination, settings_of(family, destination.transport, destination.settings), tools)
        return made

    def listener(self, source: Source, accept: Accept, tools: Tools) -> Listener | None:
        """Make a listener; None for transports served by the hub's own web server."""
        module = load("transports", source.transport)
        if not hasattr(module, "Listener"):
            return None
        made: Listener = module.Listener(source, settings_of("transports", source.transport, source.settings), accept, tools)
        return made

    def port_of(self, source: Source) -> int | None:
        """Return the port a source listens on; raises ``Misconfigured`` where the operator does not allow it."""
        port = port_of(source.transport, source.settings)
        if port is not None and port not in self.ports:
            raise Misconfigured(f"port {port} is not among the ports of this hub ({self.ports}); choose one of them, or widen CARELANE_LISTEN_PORTS")
        return port


@dataclass(frozen=True)
class EndpointShelf:
    """What the office asks of transports: their settings checked, their reach tried."""

    tools: Tools

    def methods(self, kind: str) -> list[tuple[str, str]]:
        """Return (key, title) of every transport that can start messages, or deliver them."""
        part = "Sender" if kind == "destination" else "Listener"
        found = [(name, load("transports", name)) for name in names("transports")]
        return [(name, module.TITLE) for name, module in found if hasattr(module, part) or (kind == "source" and getattr(module, "SERVED_BY_HUB", False))]

    def form(self, transport: str) -> list[FormField]:
        """Return the fields of a method's form."""
        return form("transports", transport)

    def formats(self, kind: str, transport: str) -> tuple[str, ...]:
        """Return the formats a transport carries, the usual one first."""
        if transport not in dict(self.methods(kind)):
            raise Misconfigured(
                f"{transport} is no way to {'start' if kind == 'source' else 'deliver'} messages; known are {', '.join(dict(self.methods(kind)))}"
            )
        found: tuple[str, ...] = load("transports", transport).FORMATS
        return found

    def split(self, kind: str, transport: str, environment: str, values: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Check settings and divide them into plain and secret ones; what equals the default is not stored."""
        self.formats(kind, transport)
        unknown = sorted(set(values) - {field.name for field in form("transports", transport)})
        if unknown:
            raise Misconfigured(f"{transport} has no setting {', '.join(unknown)}")
        made = settings_of("transports", transport, values)
        admit = getattr(load("transports", transport), "admit", None)
        if admit is not None:
            admit(made, environment)
        plain: dict[str, Any] = made.model_dump(mode="json", exclude_defaults=True)
        secret = {name: value.get_secret_value() for name, value in made if isinstance(value, SecretStr) and value.get_secret_value()}
        return {name: value for name, value in plain.items() if name not in {f.name for f in form("transports", transport) if f.secret}}, secret

    def listens(self, kind: str, transport: str) -> str | None:
        """Return which setting is the port a source of this transport listens on; None where it has none of its own."""
        found: tuple[str, str] | None = getattr(load("transports", transport), "LISTENS", None)
        return found[1] if found is not None and kind == "source" else None

    def port_of(self, kind: str, transport: str, settings: Mapping[str, object]) -> int | None:
        """Return the port an endpoint with these settings listens on, None for one that does not."""
        return port_of(transport, settings) if kind == "source" else None

    async def probe(self, transport: str, settings: Mapping[str, object]) -> Judgement:
        """Try to reach what the settings point at."""
        found: Judgement = await load("transports", transport).probe(settings_of("transports", transport, settings), self.tools)
        return found

    async def verify(self, transport: str, settings: Mapping[str, object]) -> Judgement | None:
        """Ask a destination to prove that it is meant; None where a transport needs no proof."""
        verify = getattr(load("transports", transport), "verify", None)
        if verify is None:
            return None
        found: Judgement = await verify(settings_of("transports", transport, settings), self.tools)
        return found


class FormatShelf:
    """Formats by name."""

    def __getitem__(self, name: str) -> Format:
        found: Format = load("formats", name).FORMAT
        return found

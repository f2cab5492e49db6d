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

from carelane.domain.endpoint import Destination, Source
from carelane.domain.errors import Misconfigured
from carelane.exchange.ports import Accept, Format, Listener, Sender, Tools

_HOMES: Mapping[str, str] = {family: f"carelane.{family}" for family in ("transports", "repositories", "formats")}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a plug-in's form."""

    name: str
    title: str
    help: str
    example: str
    kind: str
    required: bool
    secret: bool
    choices: tuple[str, ...] = ()
    default: object = None


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


def form(family: str, name: str) -> list[Field]:
    """Return the fields of a plug-in's form, from its settings."""
    fields = []
    for field_name, info in load(family, name).Settings.model_fields.items():
        kind, choices = _kind(info.annotation)
        example = info.examples[0] if info.examples else ""
        default = "" if info.annotation is SecretStr else info.get_default(call_default_factory=True)
        fields.append(
            Field(
                field_name,
                field_name.replace("_", " ").capitalize(),
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


def _kind(annotation: Any) -> tuple[str, tuple[str, ...]]:
    if get_origin(annotation) is Literal:
        return "choice", tuple(str(choice) for choice in get_args(annotation))
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


class TransportShelf:
    """Makes senders and listeners by the name of their transport; repositories send too."""

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


class FormatShelf:
    """Formats by name."""

    def __getitem__(self, name: str) -> Format:
        found: Format = load("formats", name).FORMAT
        return found

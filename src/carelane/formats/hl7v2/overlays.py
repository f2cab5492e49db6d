"""Maps with overlays: compiled once for all who use them, kept within a bound, and let go when nobody does.

Compiling takes a moment, so it is never done where others wait: a caller asks ``quick`` first, and goes to a thread when the answer is no.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from typing import Any

from carelane.domain.errors import PackBroken, Unmappable
from carelane.formats.hl7v2.edge import Hl7v2Edge
from carelane.formats.hl7v2.packs import ALL, Map, compiled_map, every_row, make_map, misfits_of, pack_name, pack_of
from carelane.formats.hl7v2.shape import misfits
from carelane.kit.cache import WeighedCache
from carelane.mapping.compile import Compiler
from carelane.mapping.expression import count_terms
from carelane.mapping.overlay import Overlay, apply_overlay, overlay_of, parse_overlay
from carelane.mapping.plan import Known
from carelane.mapping.runtime import Meter, meter_of

_MOST_KEPT_BYTES = 64 * 1024 * 1024
_MOST_AT_ONCE_BYTES = 4 * 1024
_BYTES_OF_A_MAP, _BYTES_OF_A_ROW, _BYTES_OF_A_TERM = 100_000, 7_000, 3_000


@dataclass(frozen=True, slots=True)
class Changed:
    """An overlay with the maps it changes, by the name of their packs."""

    overlay: Overlay
    maps: Mapping[str, Map]
    misfits: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InUse:
    """An overlay in one conversion, with what it may still spend."""

    changed: Changed
    meter: Meter

    def map_of(self, model: str, event: str) -> Map | None:
        """Return the map of an event type: the changed one, or the hub's own where the overlay is for another."""
        name = pack_name(model, event)
        return None if name is None else self.changed.maps.get(name) or compiled_map(name)

    def misfits_of(self, name: str, model: str, event: str) -> Mapping[str, Any]:
        """Return what that map fills that an event type's shape has no place for."""
        found = self.changed.maps.get(name)
        if found is None:
            return misfits_of(name, model, event)
        kept = self.changed.misfits.get((model, event))
        if kept is None:
            kept = self.changed.misfits[model, event] = misfits(found.compiled.pack, model, event)
        return kept


def overlay_in_use(settings: Mapping[str, Any], characters: int, segments: int = 0) -> InUse | None:
    """Return the overlay an endpoint's or a subscription's settings carry, for converting so many characters in so many segments.

    Raises:
        Unmappable: it does not fit the pack (any more).
    """
    text = overlay_of(settings)
    if text is None:
        return None
    try:
        changed = _changed(text)
    except PackBroken as error:
        raise Unmappable(f"the overlay does not fit its map: {error}; change the overlay, then release the lane") from None
    return InUse(changed, meter_of(changed.overlay.title, characters, segments))


def quick(settings: Mapping[str, Any], size: int) -> bool:
    """Say whether reading or writing so many bytes is a matter of moments: nothing is left to compile, and an overlay can spend little on them."""
    text = overlay_of(settings)
    return text is None or (size <= _MOST_AT_ONCE_BYTES and text in _KEPT)


def check_overlay(text: str) -> Overlay:
    """Read an overlay and compile every pack it is for. Nothing is kept of it: who only tries, pushes out nobody's map.

    Raises:
        PackBroken: it is malformed or over a bound, is for no pack, or changes a row that does not exist; file, row, line and reason are named.
    """
    with _COMPILING:
        return _compiled(text).overlay


def keep_overlays(texts: Container[str]) -> None:
    """Let go of the maps of every overlay that is not among these: no endpoint and no subscription carries it any more."""
    _KEPT.keep_only(texts)


_KEPT: WeighedCache[str, Changed] = WeighedCache(_MOST_KEPT_BYTES)
_COMPILING = Lock()
"""One overlay is compiled at a time, however many lanes wait for theirs: the others go on."""


def _changed(text: str) -> Changed:
    found = _KEPT.get(text)
    if found is not None:
        return found
    with _COMPILING:
        found = _KEPT.get(text)  # somebody else may have compiled it while we waited
        if found is None:
            found = _compiled(text)
            _KEPT.put(text, found, len(text) + _weight(found))
    return found


def _compiled(text: str) -> Changed:
    overlay = parse_overlay(text)
    wanted = [name for name, pack in _packs().items() if pack == overlay.pack]
    if not wanted:
        raise PackBroken(overlay.name, "(overlay)", f"there is no pack {overlay.pack}; known are {', '.join(sorted(set(_packs().values())))}")
    try:
        return Changed(overlay, {name: _map(name, overlay) for name in wanted})
    except PackBroken as error:
        line = overlay.line_of(error.row)
        raise PackBroken(overlay.name, error.row + (f" (line {line})" if line else ""), error.reason) from None


def _map(name: str, overlay: Overlay) -> Map:
    pack = apply_overlay(pack_of(name), overlay)
    return make_map(Compiler(pack, Hl7v2Edge(), _known(name)).compile())


@cache
def _packs() -> Mapping[str, str]:
    return {name: pack_of(name).name for name in ALL}


@cache
def _known(name: str) -> Known:
    """What all maps that overlays make of a pack share."""
    pack = pack_of(name)
    known = Known(frozenset(id(row) for row in every_row(pack.rows)))
    Compiler(pack, Hl7v2Edge(), known).compile()
    known.learning = False
    return known


def _weight(changed: Changed) -> int:
    """Estimate what an overlay's maps hold in memory beside what all overlays of a pack share; measured, and rather too much than too little."""
    own = [row for name, found in changed.maps.items() for row in every_row(found.compiled.pack.rows) if id(row) not in _known(name).rows]
    terms = sum(count_terms(row.when) for row in own if row.when)
    return len(changed.overlay.changes) + _BYTES_OF_A_MAP * len(changed.maps) + _BYTES_OF_A_ROW * len(own) + _BYTES_OF_A_TERM * terms

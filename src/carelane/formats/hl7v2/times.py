"""HL7 times (TS, DTM, DT: chapter 2A) ↔ ISO 8601. Precision is data: nothing is padded, civil dates are never shifted."""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any

from carelane.formats.hl7v2.scope import Context, Scope
from carelane.mapping.edge import Odd

_TIME = re.compile(
    r"(?P<y>\d{4})(?:(?P<mo>\d{2})(?:(?P<d>\d{2})(?:(?P<h>\d{2})(?:(?P<mi>\d{2})(?:(?P<s>\d{2})(?:\.(?P<f>\d{1,6})\d*)?)?)?)?)?)?"
    r"(?P<z>[+-]\d{4}|Z)?",
    re.ASCII,
)
_ISO = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2}):?(\d{2})(?::?(\d{2})(?:\.(\d{1,6})\d*)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?)?)?", re.ASCII)


def to_datetime(text: str, scope: Scope) -> str | Odd | None:
    """Read a time: UTC with milliseconds when a zone is known, the sender's own clock without ``Z`` when not, a date when there is only one."""
    known = scope.context.moments
    if text not in known:
        known[text] = _moment_of(text.strip(), scope.context)
    return known[text]  # type: ignore[return-value]


def _moment_of(text: str, context: Context) -> str | Odd | None:
    if text in context.sentinels:
        return Odd(None, "bad-date", "a placeholder date")
    found = _TIME.fullmatch(text)
    if found is None:
        return Odd(None, "bad-date", "not of the form YYYY[MM[DD[HH[MM[SS[.S]]]]]][±ZZZZ]")
    if found["h"] is None:
        return _date(found)
    zone = _zone(found["z"]) or context.zone
    try:
        shown = _shown(found, zone)
    except (ValueError, OverflowError):
        return Odd(None, "bad-date", "no such day or time")
    if zone is None:
        context.zoneless = True
        return shown
    return Odd(shown, "leap-second", "second 60 was read as 59") if found["s"] == "60" else shown


def to_date(text: str, scope: Scope) -> str | Odd | None:
    """Read a civil date, whole or partial; a time behind it is not part of it."""
    text = text.strip()
    if text in scope.context.sentinels:
        return Odd(None, "bad-date", "a placeholder date")
    if len(text) == 8 and text.isascii() and text.isdigit():  # nearly all of them
        return _day(text[:4], text[4:6], text[6:])
    found = _TIME.fullmatch(text)
    return Odd(None, "bad-date", "not of the form YYYY[MM[DD]]") if found is None else _date(found)


def birth_time(text: str, _scope: Scope) -> str | None:
    """PID-7 as it came where it tells a time: a birth has the date and clock of its place, which no zone may shift."""
    found = _TIME.fullmatch(text.strip())
    return text.strip() if found is not None and found["h"] is not None else None


def _date(found: re.Match[str]) -> str | Odd:
    year, month, day = found.group("y", "mo", "d")
    if day is None and year == "0000":
        return Odd(None, "bad-date", "there is no year 0")
    if day is None:
        if month is not None and not 1 <= int(month) <= 12:
            return Odd(None, "bad-date", "no such month")
        return year if month is None else f"{year}-{month}"
    return _day(year, month, day)


def _day(year: str, month: str, day: str) -> str | Odd:
    shown = f"{year}-{month}-{day}"
    try:
        date.fromisoformat(shown)
    except ValueError:
        return Odd(None, "bad-date", "there is no year 0" if year == "0000" else "no such day")
    return shown


def _shown(found: re.Match[str], zone: tzinfo | None) -> str:
    """Return a time in UTC, or without a mark where its zone is not known; raises ``ValueError`` or ``OverflowError`` where there is no such time."""
    moment = _moment(*found.groups()[:7])
    if zone is None:
        return moment.isoformat("T", "milliseconds")
    if isinstance(zone, timezone):  # the same all year
        moment -= zone.utcoffset(None)
    else:
        moment = moment.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat("T", "milliseconds") + "Z"


def _moment(year: str, month: str, day: str, hour: str, minute: str | None, second: str | None, fraction: str | None) -> datetime:
    """24:00 is the next day's midnight; second 60, a leap second, is 59."""
    minutes, seconds = int(minute or 0), 59 if second == "60" else int(second or 0)
    if hour == "24":
        if minutes or seconds:
            raise ValueError("24:00 has no minutes")
        return datetime(int(year), int(month), int(day)) + timedelta(days=1)  # noqa: DTZ001  (the zone is decided by the caller)
    micros = int(fraction.ljust(6, "0")) if fraction else 0
    return datetime(int(year), int(month), int(day), int(hour), minutes, seconds, micros)  # noqa: DTZ001  (the same)


@lru_cache(64)
def _zone(text: str | None) -> tzinfo | None:
    if not text:
        return None
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
    if offset >= timedelta(hours=24):
        return None
    return timezone(-offset if text[0] == "-" else offset)


def instant(text: str) -> str | None:
    """Return a time as UTC where it says its zone, else as it is, to compare two ways of writing one; None when it is no time."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    if found["h"] is None:
        return text
    try:
        return _shown(found, _zone(found["z"]))
    except (ValueError, OverflowError):
        return None


def own_zone(text: str | None) -> tzinfo | None:
    """Return the zone written into a time, such as MSH-7's."""
    found = _TIME.fullmatch(text.strip()) if text else None
    return _zone(found.group("z")) if found else None


def from_iso(value: Any, _builder: object) -> str | None:
    """Write an ISO date or time as HL7 does, with the same precision and zone."""
    found = _ISO.fullmatch(str(value).strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    text = year + (month or "") + (day or "") + (hour or "") + (minute or "") + (second or "")
    if fraction and int(fraction):
        text += "." + fraction.rstrip("0")
    if zone:
        text += "+0000" if zone == "Z" else zone.replace(":", "")
    return text


def from_iso_date(value: Any, builder: object) -> str | None:
    """Write a civil date; a time behind it is left out."""
    text = from_iso(value, builder)
    return text[:8] if text else None

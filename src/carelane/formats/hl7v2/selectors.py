"""Which repetition of a field a data model with room for one takes: written rules, by name."""

from collections.abc import Callable, Mapping, Sequence

from carelane.formats.hl7v2.scope import Scope

Selector = Callable[[Sequence[str], Scope], str]


def _by_code(component: int, preferred: Sequence[str]) -> Selector:
    """The first repetition whose code stands earliest in the list; else the first valued one."""

    def select(repetitions: Sequence[str], scope: Scope) -> str:
        for code in preferred:
            for text in repetitions:
                if text and _part(text, component, scope).upper() == code:
                    return text
        return next((text for text in repetitions if text), "")

    select.always = True  # type: ignore[attr-defined]  # a lone repetition is always the one
    return select


def _part(text: str, number: int, scope: Scope) -> str:
    parts = scope.context.values(text)
    return parts[number - 1] if number <= len(parts) else ""


def is_mail(text: str, scope: Scope) -> bool:
    """An XTN that holds an e-mail address, whatever its type says."""
    return phone_use(text, scope) == "mail"


def phone_use(text: str, scope: Scope) -> str:
    """Tell what an XTN is for from its codes (tables 0201, 0202): ``mail``, ``mobile``, ``office`` or, uncoded, ``home``."""
    uses = scope.context.uses
    found = uses.get(text)
    if found is None:
        found = uses[text] = _use(text, scope)
    return found


def _use(text: str, scope: Scope) -> str:
    if "@" in text:
        return "mail"
    parts = scope.context.values(text)
    if len(parts) < 2:
        return "home"
    equipment = parts[2].upper() if len(parts) > 2 else ""
    if equipment in ("INTERNET", "X.400"):
        return "mail"
    code = parts[1].upper()
    if equipment in ("CP", "BP") or code == "PRS":
        return "mobile"
    return "office" if code == "WPN" else "home"


def _phone(use: str) -> Selector:
    """PID-13 mixes home, work, mobile and mail: codes sort them, not positions. Uncoded ones are home numbers."""

    def select(repetitions: Sequence[str], scope: Scope) -> str:
        for text in repetitions:
            if text and phone_use(text, scope) == use:
                return text
        return ""

    return select


SELECTORS: Mapping[str, Selector] = {
    "legal": _by_code(7, ("L", "", "D")),  # XPN-7, table 0200
    "home": _by_code(7, ("H", "L", "", "P")),  # XAD-7, table 0190
    "home_phone": _phone("home"),
    "office_phone": _phone("office"),
    "mobile_phone": _phone("mobile"),
    "loinc": _by_code(3, ("LN",)),
}

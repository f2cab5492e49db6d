"""What the modules of named functions share: looking into a scope, and making functions of plain ones."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from carelane.formats.fhir.elements import leaves
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.edge import Function


def field_of(scope: Scope, name: str, field: int) -> str:
    """Return the raw text of a field of the first segment of a name in sight."""
    segment = scope.first(name)
    return segment.field(field) if segment is not None else ""


def leaf_of(scope: Scope, name: str, field: int, component: int = 1) -> str:
    """Return one component of a field's first repetition."""
    raw = field_of(scope, name, field)
    return leaves(raw.split(scope.context.message.seps.repetition)[0], scope)(component) if raw else ""


def later(start: str, amount: float) -> str | None:
    """A moment so many minutes later."""
    if "T" not in start:
        return None
    moment = datetime.fromisoformat(start) + timedelta(minutes=amount)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def member(name: str) -> Callable[[Any, Any], Any]:
    """The way back of a list: one member of its first object."""

    def write(value: Any, _builder: Any) -> list[str] | None:
        one = value[0] if isinstance(value, list) and value else None
        return [str(one[name])] if isinstance(one, dict) and one.get(name) else None

    return write


def of_scope(read: Callable[[Any, Scope], Any], put: Any = None) -> Function:
    """See ``mapping.edge.Function``."""
    return Function("scope", read, None, put=put)


def of_raw(read: Callable[[Any, Scope], Any], write: Any = None) -> Function:
    """See ``mapping.edge.Function``."""
    return Function("raw", read, write)


def of_text(read: Callable[[Any, Scope], Any], write: Any = None) -> Function:
    """See ``mapping.edge.Function``."""
    return Function("text", spoken(read), write)


def spoken(read: Callable[[Any, Scope], Any]) -> Callable[[Any, Scope], Any]:
    """Return a function that is asked of texts which say something only, without the blanks around them."""
    return lambda value, scope: read(text, scope) if (text := value.strip()) else None

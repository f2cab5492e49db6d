"""A small writer of Python source: indented lines, the objects they name, and the function they become."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class PythonSource:
    """Lines of one module being written. Only identifiers, and the ``repr`` of texts, numbers and plain lists and mappings of them may be put into a line."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lines: list[str] = []
        self._depth = 0
        self._names: dict[str, Any] = {}

    def line(self, text: str) -> None:
        """Write one line at the present depth."""
        self._lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Write a head such as ``if found`` and indent what is written inside."""
        self.line(head + ":")
        self._depth += 1
        yield
        self._depth -= 1

    def name(self, stem: str, value: object) -> str:
        """Give an object a name of its own that lines may use."""
        name = f"{stem}_{len(self._names)}"
        self._names[name] = value
        return name

    def bind(self, names: Mapping[str, Any]) -> None:
        """Give objects the names they ask for.

        Raises:
            ValueError: a name is taken by another object.
        """
        for name, value in names.items():
            if self._names.setdefault(name, value) is not value:
                raise ValueError(f"two different objects are called {name}")

    @property
    def text(self) -> str:
        """The module so far."""
        return "\n".join(self._lines) + "\n"

    def function(self, name: str) -> Callable[..., Any]:
        """Compile the module and return one of its functions."""
        space = dict(self._names)
        exec(compile(self.text, f"<{self._file}>", "exec"), space)  # noqa: S102  (our own lines; texts of packs stand in them as literals only)
        found: Callable[..., Any] = space[name]
        return found

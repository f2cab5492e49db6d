"""Run by an installed environment's own Python: which modules the package names are not there, and which of its own do not load."""

import ast
import json
import pkgutil
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import carelane

ROOT = Path(carelane.__file__).parent
RUN_BY_OTHERS = ("carelane.__main__", "carelane.store.migrations")


def missing() -> dict[str, list[str]]:
    """Return each named module that cannot be found, with the files that name it: imports inside functions too."""
    found: dict[str, list[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        for name in sorted(set(_imports(path))):
            if not _is_there(name):
                found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return found


def broken() -> dict[str, str]:
    """Return each module of the package that does not load, with the reason."""
    found: dict[str, str] = {}
    for module in pkgutil.walk_packages([str(ROOT)], "carelane."):
        if not module.name.startswith(RUN_BY_OTHERS):
            try:
                import_module(module.name)
            except ImportError as error:
                found[module.name] = str(error)
    return found


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:
        return False


if __name__ == "__main__":
    json.dump({"missing": missing(), "broken": broken()}, sys.stdout)

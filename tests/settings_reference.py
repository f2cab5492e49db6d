"""Write docs/settings.md from the fields the settings and the dashboard's forms are made of: python -m tests.settings_reference."""

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from carelane import plugins
from carelane.ops.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
_HUB = """# Settings

Made from the settings themselves by `python -m tests.settings_reference`.

A hub process reads these from the environment or a `.env` file in its working folder. `carelane check` says what is wrong with them.

| variable | default | meaning | example |
|---|---|---|---|
"""
_ENDPOINTS = """
# Settings of endpoints

Each transport and format has its own; the forms of the dashboard and these tables come from the same fields.
"""


def page() -> str:
    """Return the whole page."""
    hub = [f"| `CARELANE_{name.upper()}` | {_default(info)} | {_cell(info.description)} | {_example(info)} |" for name, info in Settings.model_fields.items()]
    parts = [_HUB + "\n".join(hub) + "\n" + _ENDPOINTS]
    for family in ("transports", "formats"):
        for key in plugins.names(family):
            module = plugins.load(family, key)
            rows = [f"| `{name}` | {_default(info)} | {_meaning(info)} |" for name, info in module.Settings.model_fields.items()]
            parts.append(
                f"\n## {module.TITLE} (`{key}`)\n\n" + ("| setting | default | meaning |\n|---|---|---|\n" + "\n".join(rows) if rows else "None.") + "\n"
            )
    return "".join(parts)


def _default(info: FieldInfo) -> str:
    secret = ", secret" if SecretStr in (info.annotation, *get_args(info.annotation)) else ""
    value: Any = info.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return f"required{secret}"
    return f"(empty{secret})" if secret or value in ("", None, (), []) else f"`{value}`"


def _meaning(info: FieldInfo) -> str:
    choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
    return _cell(info.description) + (f" One of {', '.join(f'`{one}`' for one in choices)}." if choices else "")


def _example(info: FieldInfo) -> str:
    return f"`{_cell(str(info.examples[0]))}`" if info.examples else ""


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())

"""The text of a section ↔ its narrative."""

import html
import re
from typing import Any

Json = dict[str, Any]


def narrative(text: str) -> Json:
    """A section's text as it is, shown to people as it was written."""
    return {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><pre>{html.escape(text, quote=False)}</pre></div>'}


def narrative_back(value: Any) -> str | None:
    """The text of a narrative of ours; of another's, its content without marks."""
    div = value.get("div") if isinstance(value, dict) else None
    if not isinstance(div, str):
        return None
    ours = re.fullmatch(r'<div xmlns="[^"]*"><pre>(.*)</pre></div>', div, re.DOTALL)
    return html.unescape(ours.group(1) if ours else re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", div))).strip("\n" if ours else " ") or None

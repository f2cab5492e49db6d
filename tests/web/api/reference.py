"""Write the reference page of the platform API from its own description: python -m tests.web.api.reference."""

from pathlib import Path

from carelane.web.api.app import make_api

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "platform-api.md"
_HEAD = """# Platform API: every operation

Made from the API's own description by `python -m tests.web.api.reference`; how to use it: [how-to](../how-to/platform-api.md). All paths are under `/platform/v1`.
"""


def page() -> str:
    """Return the page."""
    described = make_api(None).openapi()  # type: ignore[arg-type]
    parts = [_HEAD]
    for tag in described["tags"]:
        rows = [
            f"| `{method.upper()} {path}` | {one['description'].splitlines()[0]} | {_takes(one)} |"
            for path, methods in described["paths"].items() for method, one in methods.items() if tag["name"] in one["tags"]
        ]  # fmt: skip
        parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}\n\n| operation | what it does | takes |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _takes(operation: dict) -> str:
    query = [f"`{one['name']}`" for one in operation.get("parameters", ()) if one["in"] == "query"]
    headers = [f"`{one['name']}`" for one in operation.get("parameters", ()) if one["in"] == "header"]
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    name = next((ref["$ref"].rsplit("/", 1)[1] for ref in (schema, *schema.get("anyOf", ())) if "$ref" in ref), "")
    return ", ".join(([f"body {name}"] if name else []) + query + headers)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())

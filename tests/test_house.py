"""The house rules that a machine can check."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from carelane import plugins
from carelane.domain.ids import PREFIXES
from carelane.ops.settings import Settings
from tests.settings_reference import page as settings_page

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "carelane").rglob("*.py"))
CODE = [path for path in SOURCES if "migrations" not in path.parts]
SQL = re.compile(r"\b(SELECT\s+[\w*(]|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE)")
# Rooms whose tests stand beside a neighbour's, because they are walked as a whole there.
TESTED_ELSEWHERE = {"__init__", "__main__", "app", "server", "security", "desk", "office", "ports", "console"}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_longer_than_400_lines():
    assert [] == [name(path) for path in [*SOURCES, *(ROOT / "tests").rglob("*.py")] if len(path.read_text().splitlines()) > 400]


def test_no_function_is_longer_than_50_lines():
    functions = [
        (f"{name(path)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for path in CODE
        if "testing" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [] == [found for found in functions if found[1] > 60]


def test_only_the_clock_reads_the_time_or_sleeps():
    allowed = {"kit/clock.py", "kit/ids.py", "testing/clock.py", "testing/ledger_suite.py"}
    found = [name(path) for path in CODE if re.search(r"datetime\.now\(|datetime\.utcnow\(|time\.time\(", path.read_text())]
    assert [] == [path for path in found if path.removeprefix("src/carelane/") not in allowed]


def test_sql_is_written_in_the_store_only():
    found = {name(path) for path in CODE if SQL.search(path.read_text()) and "/store/" not in name(path)}
    assert set() == found - {"src/carelane/cli/check.py"}


def test_no_module_prints_or_swallows_errors():
    def offends(node: ast.AST) -> bool:
        if isinstance(node, ast.ExceptHandler):
            return node.type is None or all(isinstance(part, ast.Pass) for part in node.body)
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "eval", "exec")

    found = [f"{name(path)}:{node.lineno}" for path in CODE for node in ast.walk(ast.parse(path.read_text())) if offends(node)]
    # The map compiler writes Python from checked packs (docs/decisions/0006); nothing else may run source.
    assert ["src/carelane/mapping/source.py"] == [place.split(":")[0] for place in found]


def test_every_module_opens_with_one_sentence():
    without = [name(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert [] == without


@pytest.mark.parametrize("family", ["transports", "repositories", "formats"])
def test_every_plug_in_has_title_requires_and_settings_with_help(family):
    for key in plugins.names(family):
        module = plugins.load(family, key)
        assert module.__doc__ and module.TITLE and isinstance(module.REQUIRES, str), key
        assert [] == [field for field, info in module.Settings.model_fields.items() if not info.description or not info.examples], key


def test_extras_match_what_plug_ins_require():
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]) - {"dev"}
    required = {plugins.load(family, key).REQUIRES for family in ("transports", "repositories", "formats") for key in plugins.names(family)} - {""}
    assert required == extras


def test_every_setting_is_in_the_docs():
    assert settings_page() == (ROOT / "docs" / "settings.md").read_text(), "run python -m tests.settings_reference"
    assert [] == [field for field, info in Settings.model_fields.items() if not info.description or not info.examples]


def test_every_word_of_the_glossary_that_has_an_id_says_so():
    text = (ROOT / "docs" / "glossary.md").read_text()
    assert [] == [prefix for prefix in PREFIXES.values() if f"`{prefix}_" not in text]


def test_every_error_of_the_tree_is_drawn_at_its_top():
    path = ROOT / "src" / "carelane" / "domain" / "errors.py"
    tree = ast.parse(path.read_text())
    drawn = ast.get_docstring(tree) or ""
    assert [] == [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.name not in drawn]


def test_every_event_of_the_log_is_named_in_one_place():
    from carelane.ops.logs import EVENTS

    told = {found for path in CODE for found in re.findall(r"tell\(\s*\"([a-z_.]+)\"", path.read_text())}
    assert set() == told - set(EVENTS)


def test_the_kit_keeps_its_inventory():
    import carelane.kit

    assert [] == [
        path.stem for path in (ROOT / "src" / "carelane" / "kit").glob("*.py") if path.stem != "__init__" and f"``{path.stem}``" not in carelane.kit.__doc__
    ]


def test_the_lock_has_a_hash_for_every_version_and_names_no_host():
    text = (ROOT / "requirements.lock").read_text()
    pins = re.split(r"\n(?=[a-z0-9][a-z0-9._-]*==)", text)[1:]
    assert [] == [pin.split("==")[0] for pin in pins if "--hash=sha256:" not in pin]
    assert "://" not in text


def test_tests_follow_sources():
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests").rglob("test_*.py")}
    rooms = ("kit", "formats", "mapping", "transports", "exchange")
    untested = [
        name(path) for path in CODE if path.relative_to(ROOT / "src" / "carelane").parts[0] in rooms and path.stem not in tests | TESTED_ELSEWHERE | COVERED
    ]
    assert [] == untested


# Parts that have no file of their own because their behaviour is only visible through a neighbour's tests.
COVERED = {
    "clock", "ids", "document", "edge", "runtime", "expression", "builder", "charset", "escapes", "functions", "groups", "observations", "peek", "scope", "selectors",
    "shape", "format", "doors", "door", "draft", "hub", "lane", "node", "attempt", "delivery", "gates", "handover", "rings", "shards", "clinical", "joined", "copies", "collector", "restore", "assembly", "back", "compose", "elements",
    "concepts", "kinds", "people", "narratives", "plans", "remains", "documents", "unread",
    "attachments", "families", "headers", "making", "messages", "named", "orders", "sent", "participants", "payers", "quantities", "records", "resulted", "specimens",
}  # fmt: skip

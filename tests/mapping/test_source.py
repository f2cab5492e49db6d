import pytest

from carelane.mapping.source import PythonSource


def test_lines_become_a_function_that_sees_the_named_objects():
    out = PythonSource("file.yaml")
    table = out.name("table", {"a": 1})
    with out.block("def find(key)"):
        out.line(f"return {table}.get(key)")
    assert (1, None) == (out.function("find")("a"), out.function("find")("b"))


def test_one_name_means_one_object():
    out = PythonSource("file.yaml")
    out.bind({"pick": len})
    out.bind({"pick": len})
    with pytest.raises(ValueError, match="two different objects are called pick"):
        out.bind({"pick": max})

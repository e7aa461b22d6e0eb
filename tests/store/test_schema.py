"""The JSON schema that editors use says the same as the model that reads."""

from __future__ import annotations

import json
import operator
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.spec import RESERVED
from orchestrator.errors import SpecError
from orchestrator.store import specfile
from orchestrator.store.schema import json_schema

CONTRACT = """title goal labels draft priority repo base worktree setup env metric metrics benchmark holdout converge mode scope
off_limits files enforcement depends_on phase locks resources agent model effort kind fallback tty phases skills max_failures
timeout benchmark_timeout budget gates review land issue executor"""


def test_it_describes_every_key_of_the_contract() -> None:
    properties = json_schema()["properties"]
    assert set(properties) == set(CONTRACT.split()) | {"alpha", "plateau"}
    assert all(described.get("description") for described in properties.values())
    assert {key for key, described in properties.items() if described["description"].startswith("Reserved")} == RESERVED


def test_every_reference_in_it_leads_somewhere() -> None:
    schema = json_schema()
    text = json.dumps(schema)
    named = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}
    assert named <= set(schema["$defs"])
    assert {"MetricModel", "Direction"} <= named


def test_a_metric_may_be_a_name_or_a_mapping() -> None:
    schema = json_schema()
    shapes = json.dumps(schema["properties"]["metric"])
    assert '{"type": "string", "pattern"' in shapes
    assert "MetricModel" in shapes
    assert schema["$defs"]["MetricModel"]["required"] == ["name"]
    assert schema["$defs"]["Direction"]["enum"] == ["lower", "higher"]


# Values, and whether they are ones: by the schema and by what reads specs.
SPEC = Path("autoresearch.md")
KINDS = {"string": str, "integer": int, "number": int | float, "boolean": bool, "object": dict, "array": list, "null": type(None)}
CASES = [
    *(
        ("env", value, good)
        for value, good in (({"A": 1}, 1), ({"A": "1"}, 1), ({"A": True}, 0), ({"A": 1.5}, 0), ({"A=": "1"}, 0))
    ),
    *(("env", value, good) for value, good in (({}, 1), (None, 1), ({"A": None}, 0), ("A", 0))),
    *(("timeout", value, True) for value in (1, 0.5, "90s", ".5h", "1h30m", " 2 H ", "250ms", "90", "1h 30 m", None)),
    *(("timeout", value, False) for value in (0, -1, "0s", "1:30", "5 apples", "s", "", "1.m", True, 10**9, ["1s"])),
    *(("benchmark_timeout", value, good) for value, good in (("1.5m", True), ("-1s", False))),
    *(("max_failures", value, True) for value in (1, "infinite", "Infinite", " INF ", "unlimited", None)),
    *(("max_failures", value, False) for value in (0, "5", "never", True, 1_000_001)),
    *(("budget", {"tokens": value}, True) for value in (1, "500k", "2M", " 2 m ", "1000000m", None)),
    *(("budget", {"tokens": value}, False) for value in (0, "0k", "k", "2G", "1000001M", 10**12 + 1)),
    *(
        ("metric", {"name": "n", "samples": value}, good)
        for value, good in ((1, True), ("inline", True), (0, False), ("5", False))
    ),
    *(
        ("metric", value, good)
        for value, good in (("n", 1), ("a b", 0), ("", 0), ("__proto__", 0), ({}, 0), ({"name": "a=b"}, 0))
    ),
    *(
        ("metrics", [{"name": "m", "target": 0}, {"name": "n", "guard": value}], good)
        for value, good in ((True, True), (None, True), ("yes", False))
    ),
    *((key, None, True) for key in ("draft", "priority", "land", "review", "mode", "tty", "enforcement", "agent", "kind")),
    *(("agent", value, good) for value, good in (("claude", True), ("", False), ("a\nb", False), (5, False))),
    *(
        ("scope", value, good)
        for value, good in (("src/**", True), (["a", "b"], True), ([""], False), (["a\nb"], False), (5, False))
    ),
    *(("phases", value, good) for value, good in (("do-task", True), (["a b"], False), ("a,b", False))),
    *(("depends_on", value, good) for value, good in ((["a b"], True), ("-a", False), (["a/b"], False), (".a", False))),
    *(
        ("gates", value, good)
        for value, good in (
            ({"test": "pytest", "lint": {"command": "x", "mode": "warn"}, "checks": False, "typ-es_2": "mypy"}, True),
            ({"test-validator": {"allow": ["a"]}, "judge": {"agent": "claude", "ask": "x"}, "prüfung": "x"}, True),
            *(
                ({"test": value}, False)
                for value in ("", " ", None, True, 5, ["a"], {"command": ""}, {"allow": "x"}, {"agent": "x"})
            ),
            *(({name: "x"}, False) for name in ("a b", "", "scope", "verify", "a.b", "a/b")),
            ("pytest", False),
        )
    ),
    *(
        ("enforcement", value, good)
        for value, good in (("off", True), (False, True), ("warn", True), (True, False), ("on", False))
    ),
]


def allows(shape: dict[str, Any], value: object) -> bool:
    """The schema's own rules, as far as ours uses them."""
    kinds = [shape["type"]] if isinstance(shape.get("type"), str) else shape.get("type", list(KINDS))
    if isinstance(value, bool):
        kinds = [kind for kind in kinds if kind == "boolean"]
    within = {
        "minimum": operator.ge, "maximum": operator.le, "exclusiveMinimum": operator.gt, "exclusiveMaximum": operator.lt,
    }  # fmt: skip
    bounds = [better(value, shape[key]) for key, better in within.items() if key in shape and isinstance(value, int | float)]
    return all(
        [
            any(isinstance(value, KINDS[kind]) for kind in kinds),
            "anyOf" not in shape or any(allows(each, value) for each in shape["anyOf"]),
            "$ref" not in shape or allows(json_schema()["$defs"][shape["$ref"].rpartition("/")[2]], value),
            "enum" not in shape or any(value is each or value == each for each in shape["enum"]),
            "const" not in shape or value == shape["const"],
            "not" not in shape or not allows(shape["not"], value),
            not isinstance(value, str) or re.search(shape.get("pattern", ""), value) is not None,
            not isinstance(value, list) or all(allows(shape.get("items", {}), each) for each in value),
            not isinstance(value, dict) or _all_allowed(shape, value),
            *bounds,
        ]
    )


def _all_allowed(shape: dict[str, Any], value: dict[str, object]) -> bool:
    described, others = shape.get("properties", {}), shape.get("additionalProperties", True)
    rules = ((described.get(key, others if isinstance(others, dict) else {}), each) for key, each in value.items())
    names = all(allows(shape.get("propertyNames", {}), key) for key in value)
    names = names and (others is not False or set(value) <= set(described))
    return names and set(shape.get("required", ())) <= set(value) and all(allows(rule, each) for rule, each in rules)


@pytest.mark.parametrize(("key", "value", "good"), CASES)
def test_it_allows_what_is_read_and_nothing_else(key: str, value: object, good: bool) -> None:
    text = f"---\n{json.dumps({key: value})}\n---\n# Title\n"
    try:
        specfile.parse(SPEC, text)
        read = True
    except SpecError:
        read = False
    assert (allows(json_schema(), {key: value}), read) == (bool(good), bool(good))


def test_it_allows_unknown_keys_as_specs_do() -> None:
    assert json_schema().get("additionalProperties", True)

"""The JSON schema that editors use says the same as the model that reads."""

from __future__ import annotations

import json

from orchestrator.core.spec import RESERVED
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
    assert '{"type": "string"}' in shapes
    assert "MetricModel" in shapes
    assert schema["$defs"]["MetricModel"]["required"] == ["name"]
    assert schema["$defs"]["Direction"]["enum"] == ["lower", "higher"]


def test_max_failures_may_be_a_count_or_infinite() -> None:
    number, word = json_schema()["properties"]["max_failures"]["anyOf"][:2]
    assert (number["type"], number["minimum"]) == ("integer", 1)
    assert "infinite" in word["enum"]


def test_it_allows_unknown_keys_as_specs_do() -> None:
    assert json_schema().get("additionalProperties", True)

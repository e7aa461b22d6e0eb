"""The JSON schema of the front matter, so that editors complete and check it."""

from __future__ import annotations

from typing import Any

METRIC = "#/$defs/MetricModel"
NULL = {"type": "null"}
ABOUT = frozenset({"title", "description", "default"})  # what tells of a key and allows or forbids nothing


def json_schema() -> dict[str, Any]:
    """Generated from the model that reads specs; keys it does not know are allowed, as they are in a spec."""
    from orchestrator.store.model import FrontMatter

    schema = _named(FrontMatter.model_json_schema())
    for model in (schema, *schema["$defs"].values()):
        for key, described in model.get("properties", {}).items():
            if key not in model.get("required", ()):
                _may_be_empty(described)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _may_be_empty(described: dict[str, Any]) -> None:
    """A key with nothing behind it counts as not written."""
    kinds = {key: described.pop(key) for key in tuple(described) if key not in ABOUT}
    if kinds and NULL not in kinds.get("anyOf", ()):
        described["anyOf"] = [*kinds.get("anyOf", (kinds,)), NULL]
    else:
        described.update(kinds)


def _named(part: Any) -> Any:
    """Wherever a metric may stand, its bare name may stand too."""
    from orchestrator.store.model import METRIC_NAME

    if isinstance(part, list):
        return [_named(item) for item in part]
    if not isinstance(part, dict):
        return part
    if part.get("$ref") == METRIC:
        more = {key: item for key, item in part.items() if key != "$ref"}
        return {**more, "anyOf": [METRIC_NAME, {"$ref": METRIC}]}
    return {key: _named(item) for key, item in part.items()}

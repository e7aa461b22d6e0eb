"""The JSON schema of the front matter, so that editors complete and check it."""

from __future__ import annotations

from typing import Any

METRIC = "#/$defs/MetricModel"


def json_schema() -> dict[str, Any]:
    """Generated from the model that reads specs; keys it does not know are allowed, as they are in a spec."""
    from orchestrator.store.model import FrontMatter

    schema = _named(FrontMatter.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _named(part: Any) -> Any:
    """Wherever a metric may stand, its bare name may stand too."""
    if isinstance(part, list):
        return [_named(item) for item in part]
    if not isinstance(part, dict):
        return part
    if part.get("$ref") == METRIC:
        more = {key: item for key, item in part.items() if key != "$ref"}
        return {**more, "anyOf": [{"type": "string"}, {"$ref": METRIC}]}
    return {key: _named(item) for key, item in part.items()}

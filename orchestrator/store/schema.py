"""The JSON schema of the front matter, so that editors complete and check it."""

from __future__ import annotations

from typing import Any


def json_schema() -> dict[str, Any]:
    """Generated from the model that reads specs; keys it does not know are allowed, as they are in a spec."""
    from orchestrator.store.model import FrontMatter, MetricModel

    schema = FrontMatter.model_json_schema()
    metric = MetricModel.model_json_schema(ref_template="#/$defs/{model}")
    definitions = {**schema.get("$defs", {}), **metric.pop("$defs", {}), "MetricModel": metric}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": definitions}

"""Costs from the price list, offline."""

from __future__ import annotations

import pytest

from orchestrator.agents import prices
from orchestrator.core.outcome import Spend

MILLION = Spend(input_tokens=1_000_000, output_tokens=100_000)


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "anthropic/claude-sonnet-4-5", "openrouter/anthropic/claude-sonnet-4-5"])
def test_a_known_model_has_its_price_with_and_without_its_provider(model: str) -> None:
    assert prices.cost(model, MILLION) == pytest.approx(4.5)


def test_what_came_from_a_cache_costs_less() -> None:
    cached = Spend(input_tokens=1_000_000, cached_tokens=900_000, output_tokens=100_000)
    assert 0 < (prices.cost("claude-sonnet-4-5", cached) or 0) < 4.5


@pytest.mark.parametrize(("model", "spend"), [(None, MILLION), ("my-own-model", MILLION), ("claude-sonnet-4-5", Spend(usd=None))])
def test_what_cannot_be_priced_is_unknown(model: str | None, spend: Spend) -> None:
    assert prices.cost(model, spend) is None

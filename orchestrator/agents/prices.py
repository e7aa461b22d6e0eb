"""What a session cost by a maintained price list, where its agent doesn't say. Offline: the list comes with the library.

The library is imported when a price is asked for, which takes a tenth of a second. For a model that it doesn't know the cost
stays unknown; so it does where the library itself is broken, since an agent's work must not be lost over its price.
"""

from __future__ import annotations

from orchestrator.core.outcome import Spend


def cost(model: str | None, spend: Spend) -> float | None:
    """Dollars for these tokens of this model (`provider/model` names both); None where nobody can tell."""
    if model is None or spend.tokens is None:
        return None
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return None
    provider, slash, name = model.rpartition("/")
    usage = Usage(
        input_tokens=spend.input_tokens, output_tokens=spend.output_tokens, cache_read_tokens=spend.cached_tokens,
        cache_write_tokens=spend.cache_write_tokens,
    )  # fmt: skip
    for known in (provider.rpartition("/")[2] if slash else None, None):
        try:
            return float(calc_price(usage, name, provider_id=known).total_price)
        except (LookupError, ValueError):
            continue
    return None

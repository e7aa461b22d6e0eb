"""What a session cost by a maintained price list, where its agent doesn't say. Offline: the list comes with the library.

The library is imported when a price is asked for, which takes a tenth of a second. For a model that it doesn't know the cost
stays unknown; so it does where the library itself is broken, since an agent's work must not be lost over its price.
"""

from __future__ import annotations

from orchestrator.core.outcome import Spend

REQUEST = 100_000  # tokens: no request is priced as larger, since a session's sum is that of many


def cost(model: str | None, spend: Spend) -> float | None:
    """Dollars for these tokens of this model (`provider/model` names both); None where nobody can tell."""
    if model is None or spend.tokens is None:
        return None
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return None
    provider, slash, name = model.rpartition("/")
    # Large requests are dearer a token with some providers: what is priced is one of as many equal ones as make up the sum.
    share = max(1, -(-(spend.input_tokens or 0) // REQUEST))
    usage = Usage(
        input_tokens=_part(spend.input_tokens, share), output_tokens=_part(spend.output_tokens, share),
        cache_read_tokens=_part(spend.cached_tokens, share), cache_write_tokens=_part(spend.cache_write_tokens, share),
    )  # fmt: skip
    for known in (provider.rpartition("/")[2] if slash else None, None):
        try:
            return share * float(calc_price(usage, name, provider_id=known).total_price)
        except (LookupError, ValueError):
            continue
    return None


def _part(tokens: int | None, share: int) -> int | None:
    return None if tokens is None else round(tokens / share)

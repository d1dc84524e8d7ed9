"""Fits contexts into a budget by the operator's own tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from orchestration_server.context.allotment import FILLED
from orchestration_server.context.layout import Fitted, Layout
from orchestration_server.context.token_estimate import UNITS

TRIES = 10
"""Most attempts to fit one context."""


def load_tokenizer(name: str) -> Callable[[str], int] | None:
    """Return the function that ``module:function`` names; None for an empty name.

    Raises ValueError if it cannot be imported or does not count tokens.
    """
    if not name:
        return None
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
        counted = found("{}")
    except Exception as error:
        raise ValueError(f"tokenizer {name!r} cannot be used: {error!r}") from error
    if not isinstance(counted, int) or counted < 0:
        raise ValueError(f"tokenizer {name!r} must take a text and return its number of tokens")
    return cast("Callable[[str], int]", found)


def fit(layout: Layout, budget: int, *, count: Callable[[Fitted], int]) -> Fitted:
    """Return as much of a context as fits into a budget, as ``layout.fit`` does.

    ``count`` returns the tokens of a context. Counts of parts do not add up as estimates do, so this searches
    for the estimate at which the count fills the budget.
    """
    best = layout.everything()
    estimate = count(best)
    if not budget or estimate <= budget:
        return best._replace(estimate=estimate)
    low, high = 0, 2 * budget * UNITS * best.estimate // estimate
    cap = high // 2
    fitting: Fitted | None = None
    for _ in range(TRIES):
        found = layout.within(cap)
        found = found._replace(estimate=count(found))
        if found.estimate <= budget:
            fitting, low = found, cap
            if found.estimate >= FILLED * budget:
                break
        else:
            high = cap
        cap = (low + high) // 2
    # A context that is trimmed as far as possible may still exceed a tiny budget.
    return fitting or found

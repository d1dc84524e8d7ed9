"""Counts tokens with a tokenizer of the operator's own, and fits contexts by what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

from orchestration.v1 import context_pb2
from orchestration_server.context.token_budget import FILLED, Fitted, SizedEvent, everything, within
from orchestration_server.context.token_estimate import UNITS

TRIES = 10
"""How often a context is made anew, at the most."""


def tokenizer(name: str) -> Callable[[str], int] | None:
    """What ``module:function`` names; None for an empty name. ValueError where there is no such thing."""
    if not name:
        return None
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
        counted = found("{}")
    except Exception as error:
        raise ValueError(f"tokenizer {name!r} cannot be used: {error!r}") from error
    if not isinstance(counted, int) or counted < 0:
        raise ValueError(f"tokenizer {name!r} has to take a text and return how many tokens it is")
    return cast("Callable[[str], int]", found)


def fit(
    whole: context_pb2.Context,
    events: Sequence[SizedEvent],
    budget: int,
    *,
    subject: str,
    count: Callable[[Fitted], int],
) -> Fitted:
    """As ``token_budget.fit``, where ``count`` says how many tokens a context takes.

    That does not add up as the estimate does, so it looks for the estimate that takes the budget.
    """
    best = everything(whole, events)
    estimate = count(best)
    if not budget or estimate <= budget:
        return best._replace(estimate=estimate)
    low, high = 0, 2 * budget * UNITS * best.estimate // estimate
    cap = high // 2
    fitting: Fitted | None = None
    for _ in range(TRIES):
        found = within(whole, events, cap, subject=subject)
        found = found._replace(estimate=count(found))
        if found.estimate <= budget:
            fitting, low = found, cap
            if found.estimate >= FILLED * budget:
                break
        else:
            high = cap
        cap = (low + high) // 2
    # A budget below what names a context is passed, as it is without a tokenizer.
    return fitting or found

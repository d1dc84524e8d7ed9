"""What a format of contexts has to do: write a context as a whole, and within a number of units."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from orchestration.v1 import context_pb2
from orchestration_server.context.token_estimate import UNITS


class Fitted(NamedTuple):
    """A context without its events, the events, and the estimate of all of it in tokens."""

    context: context_pb2.Context
    events: list[bytes]
    estimate: int


class Layout(Protocol):
    """A context in one format."""

    def everything(self) -> Fitted:
        """Return the context with nothing left out."""

    def within(self, units: int) -> Fitted:
        """Return as much of the context as fits into ``units`` of the token estimate."""

    def text(self, context: context_pb2.Context) -> str:
        """Return the text whose tokens are counted, of a fitted context with its events."""


def fit(layout: Layout, budget: int) -> Fitted:
    """Return as much of a context as fits into a budget in tokens; all of it if the budget is 0."""
    found = layout.everything()
    if not budget or found.estimate <= budget:
        return found
    return layout.within(budget * UNITS)

"""The claim loop waits as long as a server at its limit says, and sends the same request again."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from orchestration import LedgerError, Overloaded
from orchestration._async import work as async_work
from orchestration._sync import work
from orchestration.errors import ErrorDetails
from orchestration.v1.coordination_pb2 import ClaimTaskRequest
from tests.support.clock import FakeClock

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


def _overloaded(delay: float | None) -> Overloaded:
    return Overloaded(ErrorDetails(EXHAUSTED, "later", "TOO_MANY_WAITING_CLAIMS", retry_delay=delay))


class _Refusing:
    """A ledger that refuses some claims, and then has no task that is ready."""

    def __init__(self, *refusals: LedgerError) -> None:
        self.refusals = list(refusals)
        self.asked: list[ClaimTaskRequest] = []

    def take(self, request: ClaimTaskRequest) -> list[Any]:
        self.asked.append(request)
        if self.refusals:
            raise self.refusals.pop(0)
        return []


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the clock of the loop go on by what it sleeps, and return its pauses."""
    clock, pauses = FakeClock(), list[float]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.now += seconds

    async def async_sleep(seconds: float) -> None:
        sleep(seconds)

    for module in (work, async_work):
        monkeypatch.setattr(module, "monotonic", clock)
    monkeypatch.setattr(work, "sleep", sleep)
    monkeypatch.setattr(async_work, "async_sleep", async_sleep)
    return pauses


def _run(ledger: _Refusing) -> list[Any]:
    return list(work.Claims(ledger, ClaimTaskRequest(labels=["x"]), 0.0))  # type: ignore[arg-type]


def test_the_loop_waits_as_it_is_told(slept: list[float]) -> None:
    ledger = _Refusing(_overloaded(2.5), _overloaded(0.5))
    assert _run(ledger) == []
    assert slept == [2.5, 0.5]
    assert all(request is ledger.asked[0] for request in ledger.asked), "one request, with one request_id"


def test_the_loop_of_asyncio_does_the_same(slept: list[float]) -> None:
    refusing = _Refusing(_overloaded(2.5))

    class Ledger:
        async def take(self, request: ClaimTaskRequest) -> list[Any]:
            return refusing.take(request)

    async def run() -> list[Any]:
        request = ClaimTaskRequest(labels=["x"])
        return [found async for found in async_work.AsyncClaims(Ledger(), request, 0.0)]  # type: ignore[arg-type]

    assert asyncio.run(run()) == []
    assert slept == [2.5]


def test_an_overload_without_a_delay_is_raised(slept: list[float]) -> None:
    with pytest.raises(Overloaded):
        _run(_Refusing(_overloaded(None)))
    assert slept == []


def test_an_overload_that_lasts_is_raised_after_a_minute(slept: list[float]) -> None:
    with pytest.raises(Overloaded):
        _run(_Refusing(*[_overloaded(25.0)] * 9))
    assert slept == [25.0, 25.0]

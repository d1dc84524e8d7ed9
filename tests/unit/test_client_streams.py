"""The client's streams over broken connections, with a fake ledger."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from concurrent import futures
from datetime import UTC, datetime

import grpc
import pytest
from google.rpc import (
    code_pb2,
)

import orchestration.retry as retry_module
from orchestration import AsyncClient, Client, LedgerError
from orchestration.errors import ErrorDetails
from orchestration.retry import Retry
from orchestration.v1.event_pb2 import (
    EmitError,
    NewEvent,
)
from tests.unit.fake_ledger import BREAKS, Ledger, running_ledger, serve


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with running_ledger() as running:
        yield running


@pytest.fixture
def client(ledger: Ledger) -> Iterator[Client]:
    with Client(ledger.address, project="p", agent="a", session="s", token="secret") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_module, "_INITIAL", 0.001)
    monkeypatch.setattr(retry_module, "_LONGEST", 0.01)


@pytest.mark.parametrize("code", [*BREAKS, None])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_history_comes_once_over_breaks(
    client: Client, ledger: Ledger, code: grpc.StatusCode | None, after: int
) -> None:
    ledger.events.append(20)
    # Without follow, an OK status is the end of the history, so only an error breaks the stream.
    ledger.events.breaks = [(after, code)] * 3
    with client.follow(follow=code is None) as timeline:
        ids = [event.id for event in itertools.islice(timeline, 20)]
    assert ids == [f"e{n}" for n in range(1, 21)]


def test_the_end_of_the_history_ends_the_iteration(client: Client, ledger: Ledger) -> None:
    ledger.events.append(7)
    timeline = client.follow(follow=False)
    assert [event.id for event in timeline] == [f"e{n}" for n in range(1, 8)]
    assert timeline.cursor == "7"
    assert list(timeline) == []


def test_the_cursor_is_that_of_the_last_returned_event(client: Client, ledger: Ledger) -> None:
    ledger.events.append(5)
    with client.follow() as timeline:
        assert timeline.cursor == ""
        next(timeline)
        assert timeline.cursor == "1"  # although one message had three events
        next(timeline)
    with client.follow(after_cursor=timeline.cursor, follow=False) as rest:
        assert [event.id for event in rest] == ["e3", "e4", "e5"]


def test_the_first_start_holds_until_a_cursor_is_known(client: Client, ledger: Ledger) -> None:
    ledger.events.append(9)
    ledger.events.breaks = [(0, grpc.StatusCode.INTERNAL), (1, grpc.StatusCode.INTERNAL)]
    assert [event.id for event in client.follow(last=4, follow=False)] == ["e6", "e7", "e8", "e9"]
    assert [start.WhichOneof("start") for start in ledger.events.starts] == [
        "last",
        "last",
        "after_cursor",
    ]


def test_follow_goes_on_live_and_over_a_restart(client: Client, ledger: Ledger) -> None:
    ledger.events.append(4)
    timeline = client.follow()
    seen = [next(timeline).id for _ in range(4)]
    ledger.events.append(2)
    seen += [next(timeline).id for _ in range(2)]
    ledger.stop()
    again = serve(ledger.address, ledger.tasks, ledger.events)
    again.events.append(3)
    seen += [next(timeline).id for _ in range(3)]
    timeline.close()
    again.stop()
    assert seen == [f"e{n}" for n in range(1, 10)]


def test_close_ends_a_wait_of_another_thread(client: Client, ledger: Ledger) -> None:
    ledger.events.append(1)
    timeline = client.follow()
    next(timeline)
    with futures.ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list, timeline)
        timeline.close()
        assert rest.result(timeout=10) == []
    assert timeline.cursor == "1"


def test_closing_the_client_ends_its_timelines(ledger: Ledger) -> None:
    ledger.events.append(1)
    client = Client(ledger.address)
    timeline = client.follow()
    next(timeline)
    with futures.ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list, timeline)
        client.close()
        assert rest.result(timeout=10) == []


def test_a_permanent_error_is_raised_and_ends_the_iteration(client: Client) -> None:
    timeline = client.follow(after_cursor="of-another-log")
    with pytest.raises(LedgerError, match="start elsewhere"):
        next(timeline)
    assert list(timeline) == []


def test_a_start_is_one_of_three(client: Client) -> None:
    with pytest.raises(ValueError, match="one of"):
        client.follow(after_cursor="1", last=1)
    with pytest.raises(ValueError, match="time zone"):
        client.follow(from_time=datetime(2030, 1, 1))  # noqa: DTZ001 - that is the point
    assert client.follow(from_time=datetime(2030, 1, 1, tzinfo=UTC)).cursor == ""


def test_an_internal_error_that_repeats_is_raised(client: Client, ledger: Ledger) -> None:
    ledger.events.append(1)
    ledger.events.breaks = [(0, grpc.StatusCode.INTERNAL)] * 9
    with pytest.raises(LedgerError, match="broken on purpose"):
        next(client.follow())
    assert len(ledger.events.starts) == 5


def test_the_timeout_and_the_delay_of_a_retry() -> None:
    now = 0.0
    retry = Retry(10, clock=lambda: now)
    away = ErrorDetails(grpc.StatusCode.UNAVAILABLE, "away")
    assert retry.pause(away) < 1
    now = 9.0
    retry.progress()
    now = 11.0
    assert retry.pause(away) < 1
    full = ErrorDetails(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry_delay=3.0)
    assert retry.pause(full) == 3.0
    now = 21.0
    with pytest.raises(LedgerError, match="away"):
        retry.pause(away)
    with pytest.raises(LedgerError, match="large"):
        Retry(None).pause(ErrorDetails(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large"))


def events(count: int, size: int = 0) -> Iterator[NewEvent]:
    for n in range(count):
        event = NewEvent(type="test.made", dedup_key=str(n))
        if size:
            event.payload.update({"text": "x" * size})
        yield event


def test_emit_all_counts_over_messages(client: Client, ledger: Ledger) -> None:
    assert client.emit_all(events(1203), batch=100).stored == 1203
    assert sorted(ledger.events.stored.values()) == [3] + [100] * 12
    assert client.emit_all([]).stored == 0
    with pytest.raises(ValueError, match="batch"):
        client.emit_all([], batch=501)


def test_emit_all_bounds_a_message_by_bytes(client: Client, ledger: Ledger) -> None:
    assert client.emit_all(events(100, size=60_000)).stored == 100
    assert len(ledger.events.stored) == 3


@pytest.mark.parametrize("code", [*BREAKS, None])
def test_emit_all_sends_again_what_was_not_answered(
    client: Client, ledger: Ledger, code: grpc.StatusCode | None
) -> None:
    ledger.events.breaks = [(0, code), (2, code), (1, code)]
    assert client.emit_all(events(95), batch=10).stored == 95
    assert len(ledger.events.stored) == 10
    assert len(ledger.events.received) > 10  # with the same ids


def test_emit_all_raises_what_the_server_refuses(client: Client, ledger: Ledger) -> None:
    refusal = EmitError(
        code=code_pb2.INVALID_ARGUMENT,
        message="no",
        reason="INVALID",
        violations={"events[1].type": "bad"},
    )
    ledger.events.refuse = lambda request, _seen: refusal if request.events[0].dedup_key == "20" else None
    with pytest.raises(LedgerError, match="INVALID") as raised:
        client.emit_all(events(50), batch=10)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.metadata["first_event"] == "20"
    assert raised.value.violations == {"events[1].type": "bad"}


def test_emit_all_retries_a_retryable_refusal(client: Client, ledger: Ledger) -> None:
    busy = EmitError(code=code_pb2.RESOURCE_EXHAUSTED, message="full", retryable=True)
    ledger.events.refuse = lambda _request, seen: busy if seen == 0 else None
    assert client.emit_all(events(50), batch=10).stored == 50
    assert len(ledger.events.stored) == 5


def test_emit_all_passes_on_an_error_of_the_iterable(client: Client) -> None:
    def broken() -> Iterator[NewEvent]:
        yield from events(20)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        client.emit_all(broken(), batch=10)


@pytest.mark.parametrize("code", [*BREAKS, None])
def test_async_follow_over_breaks_live_and_closed(ledger: Ledger, code: grpc.StatusCode | None) -> None:
    async def run() -> None:
        async with AsyncClient(ledger.address) as client:
            timeline = client.follow()
            ids = [(await anext(timeline)).id for _ in range(20)]
            ledger.events.append(1)
            ids.append((await anext(timeline)).id)
            assert ids == [f"e{n}" for n in range(1, 22)]
            waiting = asyncio.ensure_future(anext(timeline, None))
            await asyncio.sleep(0)
            timeline.close()
            assert await waiting is None
            assert timeline.cursor == "21"

    ledger.events.append(20)
    ledger.events.breaks = [(0, code), (2, code), (1, code)]
    asyncio.run(run())


def test_async_wait_that_is_cancelled_loses_nothing(ledger: Ledger) -> None:
    async def run() -> None:
        async with AsyncClient(ledger.address) as client:
            timeline = client.follow()
            await anext(timeline)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(timeline), 0.05)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(timeline)
            ledger.events.append(2)
            assert [(await anext(timeline)).id for _ in range(2)] == ["e2", "e3"]
            with pytest.raises(LedgerError, match="start elsewhere"):
                await anext(client.follow(after_cursor="of-another-log"))

    ledger.events.append(1)
    asyncio.run(run())


@pytest.mark.parametrize("code", [*BREAKS, None])
def test_async_emit_all(ledger: Ledger, code: grpc.StatusCode | None) -> None:
    async def made() -> AsyncIterator[NewEvent]:
        for event in events(95):
            yield event

    async def run() -> None:
        async with AsyncClient(ledger.address) as client:
            assert (await client.emit_all(made(), batch=10)).stored == 95
            assert (await client.emit_all(events(5))).stored == 5
            refusal = EmitError(code=code_pb2.INVALID_ARGUMENT, message="no")
            ledger.events.refuse = lambda _request, _seen: refusal
            with pytest.raises(LedgerError, match="no"):
                await client.emit_all(events(5))

    ledger.events.breaks = [(0, code), (2, code), (1, code)]
    asyncio.run(run())
    assert len(ledger.events.stored) == 11


def test_a_greeting_is_progress_only_if_the_stream_lives_on() -> None:
    now = [0.0]
    retry = Retry(60.0, clock=lambda: now[0], on_retry=lambda error, delay: None)
    failure = ErrorDetails(grpc.StatusCode.INTERNAL, "broken")
    for _ in range(4):
        retry.heard()
        retry.pause(failure)
    retry.heard()
    now[0] += 5.0
    retry.pause(failure)  # The stream lived for a while, so this is the first failure of another series.
    for _ in range(3):
        retry.heard()
        retry.pause(failure)
    retry.heard()
    with pytest.raises(LedgerError):
        retry.pause(failure)

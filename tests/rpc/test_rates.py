"""The limits of calls and events a minute, for a caller on another machine."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from orchestration.v1 import event_pb2, task_pb2
from orchestration.v1.event_pb2_grpc import EventServiceStub
from orchestration.v1.task_pb2_grpc import TaskServiceStub
from orchestration_server.app import App
from orchestration_server.auth import admission, credentials
from orchestration_server.auth.api_keys import new_key
from orchestration_server.auth.rate_limits import LEASES, RateLimiter
from orchestration_server.cache.client import RedisClient
from orchestration_server.embedded.engines import Engines
from orchestration_server.rpc import address as listening
from orchestration_server.telemetry.metrics import RPC_REFUSED
from tests.conftest import open_channel
from tests.support import factories
from tests.support.clock import FakeClock
from tests.support.credentials import Reads, bearer, make_key
from tests.support.rpc_errors import details, refused

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
LIST = task_pb2.ListTasksRequest()


CALLS = 12
"""The limits of these tests' server for a key without its own."""
EVENTS = 9


@pytest.fixture
def from_elsewhere(start_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch) -> Iterator[grpc.Channel]:
    """A channel to a server that others than this machine can reach, and that takes its callers for such.

    It is started as in production: off loopback the rates are there by themselves.
    """
    monkeypatch.setattr(admission, "address_of", lambda _: "192.0.2.1")
    app = start_app(
        address="0.0.0.0:0", allow_plaintext=True, calls_per_minute=CALLS, events_per_minute=EVENTS
    )
    with open_channel(listening.dial_address(app.address)) as channel:
        yield channel


def test_a_key_without_a_rate_gets_the_rate_of_the_settings(
    from_elsewhere: grpc.Channel, database_url: str
) -> None:
    tasks, key = TaskServiceStub(from_elsewhere), bearer(make_key(database_url))
    for _ in range(CALLS):
        tasks.ListTasks(LIST, metadata=key)
    with refused(EXHAUSTED, "RATE_LIMITED", f"more than {CALLS} calls by this key") as caught:
        tasks.ListTasks(LIST, metadata=key)
    wait = details(caught.value)["RetryInfo"].retry_delay
    assert 0 < wait.seconds + wait.nanos / 1e9 <= 60

    events, other = EventServiceStub(from_elsewhere), bearer(make_key(database_url))
    for _ in range(EVENTS):
        events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event()), metadata=other)
    with refused(EXHAUSTED, "EVENTS_RATE_LIMITED", f"more than {EVENTS} events by this key"):
        events.EmitEvent(event_pb2.EmitEventRequest(event=factories.event()), metadata=other)


def test_a_key_has_a_limit_of_calls_a_minute(from_elsewhere: grpc.Channel, database_url: str) -> None:
    tasks = TaskServiceStub(from_elsewhere)
    key, other = make_key(database_url, per_minute=5), make_key(database_url)
    for _ in range(5):
        tasks.ListTasks(LIST, metadata=bearer(key))
    with refused(EXHAUSTED, "RATE_LIMITED") as caught:
        tasks.ListTasks(LIST, metadata=bearer(key))
    wait = details(caught.value)["RetryInfo"].retry_delay
    assert 0 < wait.seconds + wait.nanos / 1e9 <= 60
    tasks.ListTasks(LIST, metadata=bearer(other))


def test_events_have_a_separate_limit(from_elsewhere: grpc.Channel, database_url: str) -> None:
    events = EventServiceStub(from_elsewhere)
    key = bearer(make_key(database_url, events_per_minute=10))
    messages = [
        event_pb2.EmitEventsRequest(request_id=str(n), events=[factories.event() for _ in range(4)])
        for n in range(3)
    ]
    answers = list(events.EmitEvents(iter(messages), metadata=key, timeout=20))
    assert [a.error.reason for a in answers] == ["", "", "EVENTS_RATE_LIMITED"]
    assert answers[2].error.retryable
    events.ListEvents(event_pb2.ListEventsRequest(), metadata=key)


def test_an_address_with_too_many_refusals_is_not_looked_up(
    from_elsewhere: grpc.Channel, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    reads = Reads(monkeypatch)
    tasks = TaskServiceStub(from_elsewhere)
    known = bearer(make_key(database_url))
    tasks.ListTasks(LIST, metadata=known)
    for _ in range(60):
        with refused(UNAUTHENTICATED):
            tasks.ListTasks(LIST, metadata=bearer(new_key()[1]))
    before = reads.count
    for metadata in (bearer(new_key()[1]), (), bearer("x")):
        with refused(EXHAUSTED, "RATE_LIMITED") as caught:
            tasks.ListTasks(LIST, metadata=metadata)
        assert "RetryInfo" in details(caught.value)
    assert reads.count <= before + 1
    # A known credential is accepted nevertheless.
    tasks.ListTasks(LIST, metadata=known)


def test_the_first_call_of_a_valid_key_counts_as_no_refusal(
    from_elsewhere: grpc.Channel, database_url: str
) -> None:
    tasks = TaskServiceStub(from_elsewhere)
    for _ in range(70):
        tasks.ListTasks(LIST, metadata=bearer(make_key(database_url)))


@pytest.fixture
def crowded(from_elsewhere: grpc.Channel) -> grpc.Channel:
    """The same channel, after its address had as many refusals as it may."""
    tasks = TaskServiceStub(from_elsewhere)
    for _ in range(60):
        with refused(UNAUTHENTICATED):
            tasks.ListTasks(LIST, metadata=bearer(new_key()[1]))
    with refused(EXHAUSTED, "RATE_LIMITED"):
        tasks.ListTasks(LIST)
    return from_elsewhere


def test_an_idle_valid_key_is_looked_up_although_its_address_is_limited(
    from_elsewhere: grpc.Channel, database_url: str, request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tasks = TaskServiceStub(from_elsewhere)
    good = bearer(make_key(database_url))
    tasks.ListTasks(LIST, metadata=good)
    request.getfixturevalue("crowded")
    monkeypatch.setattr(credentials, "STALE_SECONDS", -1.0)
    tasks.ListTasks(LIST, metadata=good)


def test_an_unavailable_database_counts_as_no_refusal(
    from_elsewhere: grpc.Channel, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = TaskServiceStub(from_elsewhere)
    good = bearer(make_key(database_url))
    reads = Reads(monkeypatch)
    reads.away = True
    for _ in range(70):
        with refused(grpc.StatusCode.UNAVAILABLE):
            tasks.ListTasks(LIST, metadata=good)
    reads.away = False
    tasks.ListTasks(LIST, metadata=good)


def test_a_call_above_its_rate_is_counted_once(from_elsewhere: grpc.Channel, database_url: str) -> None:
    tasks = TaskServiceStub(from_elsewhere)
    key = bearer(make_key(database_url, per_minute=1))
    tasks.ListTasks(LIST, metadata=key)
    counted = RPC_REFUSED.labels("RATE_LIMITED")
    before = counted._value.get()
    with refused(EXHAUSTED, "RATE_LIMITED"):
        tasks.ListTasks(LIST, metadata=key)
    assert counted._value.get() == before + 1


@pytest.fixture
def client(engines: Engines) -> Iterator[RedisClient]:
    made = RedisClient(engines.redis_url or "", connections=4)
    yield made
    made.close()


def test_servers_share_a_count_and_each_takes_leases(client: RedisClient) -> None:
    identity = secrets.token_bytes(8)
    one, two = RateLimiter(client, identity=identity), RateLimiter(client, identity=identity)
    taken = sum(rates.take("calls", "k", 100) == 0 for _ in range(100) for rates in (one, two))
    assert taken == 100
    assert RateLimiter(client, identity=secrets.token_bytes(8)).take("calls", "k", 100) == 0


def test_a_lease_is_taken_once_for_many_calls(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    execute = client.execute

    def noted(use: Any, name: str) -> Any:
        asked.append(use)
        return execute(use, name)

    monkeypatch.setattr(client, "execute", noted)
    rates = RateLimiter(client, identity=secrets.token_bytes(8))
    for _ in range(500):
        assert rates.take("calls", "k", 1_000) == 0
    assert len(asked) == 500 / (1_000 / LEASES)


def test_a_caller_above_its_rate_is_refused_without_redis(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = RateLimiter(client, identity=secrets.token_bytes(8))
    while rates.take("calls", "k", 20) == 0:
        pass
    monkeypatch.setattr(client, "execute", None)
    assert 0 < rates.take("calls", "k", 20) <= 60


def test_without_redis_each_process_counts_alone() -> None:
    away = RedisClient("redis://127.0.0.1:1", connections=1)
    one, two = RateLimiter(away, identity=b"a"), RateLimiter(away, identity=b"a")
    for rates in (one, two):
        assert [rates.take("calls", "k", 3) == 0 for _ in range(4)] == [True, True, True, False]
        assert rates.take("calls", "other", 3) == 0
    away.close()


def test_a_request_above_a_minutes_limit_delays_the_next_ones() -> None:
    clock = FakeClock()
    rates = RateLimiter(RedisClient("", connections=1), identity=b"a", clock=clock)
    assert rates.take("events", "k", 10, 500) == 0
    clock.now += 49 * 60 - 1
    assert rates.take("events", "k", 10) == pytest.approx(1)


def test_a_smaller_request_is_granted_after_a_refused_one() -> None:
    rates = RateLimiter(RedisClient("", connections=1), identity=b"a", clock=FakeClock())
    assert rates.take("events", "k", 1_000, 600) == 0
    assert rates.take("events", "k", 1_000, 500) > 0
    assert rates.take("events", "k", 1_000, 1) == 0


def test_the_leases_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration_server.auth.rate_limits.MAX_CALLERS", 3)
    rates = RateLimiter(RedisClient("", connections=1), identity=b"a")
    for n in range(10):
        rates.take("refused", str(n), 60)
    assert len(rates._leases) == 3


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:50000", ""),
        ("ipv4:127.9.9.9:1", ""),
        ("ipv6:%5B::1%5D:50000", ""),
        ("ipv6:%5B::ffff:127.0.0.1%5D:50000", ""),
        ("unix:/run/o.sock", ""),
        ("unix:", ""),
        ("ipv4:192.0.2.7:50000", "192.0.2.7"),
        ("ipv6:%5B::ffff:192.0.2.7%5D:50000", "192.0.2.7"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:50000", "2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8::6%5D:50000", "2001:db8::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:50000", "fe80::/64"),
        ("something else", "something else"),
        ("", "unknown"),
    ],
)
def test_a_peer_is_counted_by_its_address(peer: str, address: str) -> None:
    assert admission.address_of(peer) == address

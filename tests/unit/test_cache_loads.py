"""A value that many calls request at the same time is loaded once."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from orchestration_server.cache.client import RedisClient
from orchestration_server.cache.read_through import Cache, Loaded

CALLS = 8
SECONDS = 10


@pytest.fixture
def cache() -> Cache:
    return Cache(RedisClient("", connections=1), identity=b"log")


class Load:
    """A load that ends or fails when a test says so."""

    def __init__(self, *outcomes: bytes | Exception, version: str = "v1") -> None:
        self.version = [version]
        self._outcomes = iter(outcomes)
        self.entered: SimpleQueue[None] = SimpleQueue()
        self.go_on = threading.Event()

    def __call__(self) -> Loaded:
        self.entered.put(None)
        assert self.go_on.wait(SECONDS)
        outcome = next(self._outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return Loaded(outcome, self.version)


class Loading(dict[bytes, "Future[bytes | None]"]):
    """The loads of a cache, with a count of the calls that wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self.placed = threading.Semaphore(0)

    def setdefault(self, key: bytes, default: "Future[bytes | None]") -> "Future[bytes | None]":
        found = super().setdefault(key, default)
        self.placed.release()
        return found


def at_once(cache: Cache, load: Load) -> "list[Future[tuple[bytes, bool]]]":
    """Many calls for one version. None ends before all have asked."""
    cache._loading = loading = Loading()
    with ThreadPoolExecutor(CALLS) as pool:
        found = [pool.submit(cache.get_or_load, "kind", ["v1"], load) for _ in range(CALLS)]
        for _ in range(CALLS):
            assert loading.placed.acquire(timeout=SECONDS)
        load.go_on.set()
    return found


def test_calls_at_once_share_one_load(cache: Cache) -> None:
    answers = [one.result() for one in at_once(cache, Load(b"value"))]
    assert sorted(answers) == [(b"value", False)] + [(b"value", True)] * (CALLS - 1)


def test_another_version_is_loaded_at_the_same_time(cache: Cache) -> None:
    slow, fast = Load(b"old"), Load(b"new", version="v2")
    fast.go_on.set()
    with ThreadPoolExecutor(1) as pool:
        old = pool.submit(cache.get_or_load, "kind", ["v1"], slow)
        slow.entered.get(timeout=SECONDS)
        assert cache.get_or_load("kind", ["v2"], fast) == (b"new", False)
        slow.go_on.set()
        assert old.result(timeout=SECONDS) == (b"old", False)


def test_a_failed_load_fails_only_its_own_call(cache: Cache) -> None:
    load = Load(ValueError("left"), *[b"value"] * (CALLS - 1))
    errors = [one.exception() for one in at_once(cache, load)]
    assert [type(error) for error in errors if error is not None] == [ValueError]
    assert not cache._loading


@pytest.mark.parametrize("error", [ValueError("$abc"), RecursionError(), UnicodeError()])
def test_an_invalid_answer_counts_as_redis_away(error: Exception) -> None:
    client = RedisClient("redis://127.0.0.1:1/0", connections=1)

    def use(_: object) -> None:
        raise error

    assert client.execute(use) is None
    assert client.failing
    client.close()

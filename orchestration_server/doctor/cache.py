"""Redis or Valkey. A ledger runs without one: what it does changes speed only."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestration_server.cache import TIMEOUT_SECONDS
from orchestration_server.doctor.findings import Finding, Subject, ok, size, warning

PINGS = 20
SLOW_SECONDS = 0.01
WAIT_SECONDS = 2.0


def cache(subject: Subject) -> Iterator[Finding]:
    """It answers, soon, and makes room when it is full."""
    if not subject.redis_url:
        yield ok(
            "none, and all works: contexts and reports are made anew each time, and servers of one ledger"
            " look for each other's events every 100 ms"
        )
        return
    client: redis.Redis | None = None
    try:
        client = redis.Redis.from_url(
            subject.redis_url,
            socket_timeout=WAIT_SECONDS,
            socket_connect_timeout=WAIT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        client.ping()
        seconds = statistics.median(_ping(client) for _ in range(PINGS))
        yield _speed(_dict(client.info("server")), seconds)
        yield _memory(_dict(client.info("memory")))
    except ValueError:
        yield warning("REDIS_URL is not valid", "export REDIS_URL=redis://127.0.0.1:6379/0")
    except (redis.RedisError, OSError) as error:
        # Without the text of the error, which may hold what the URL does.
        yield warning(
            f"does not answer ({type(error).__name__}): all works without it, slower",
            'redis-cli -u "$REDIS_URL" ping',
        )
    finally:
        if client is not None:
            client.close()


def _ping(client: redis.Redis) -> float:
    began = time.perf_counter()
    client.ping()
    return time.perf_counter() - began


def _speed(server: dict[str, Any], seconds: float) -> Finding:
    valkey = server.get("valkey_version")
    name = f"Valkey {valkey}" if valkey else f"Redis {server.get('redis_version', 'of no version')}"
    text = f"{name} answers in {seconds * 1_000:.2f} ms at the median; the ledger would run without it"
    if seconds > SLOW_SECONDS:
        limit = f"what takes {TIMEOUT_SECONDS * 1_000:.0f} ms counts as away"
        return warning(f"{text}; {limit}", "a cache near the servers; without one they may be faster")
    return ok(text)


def _memory(memory: dict[str, Any]) -> Finding:
    policy, most = memory.get("maxmemory_policy", ""), int(memory.get("maxmemory", 0))
    if not most:
        return warning(
            "no limit of memory: what is cached goes after 5 minutes, and until then it grows",
            'redis-cli -u "$REDIS_URL" config set maxmemory 256mb',
        )
    if not policy.startswith("allkeys-"):
        return warning(
            f"with the policy {policy or 'noeviction'} a full cache of {size(most)} takes nothing new",
            'redis-cli -u "$REDIS_URL" config set maxmemory-policy allkeys-lru',
        )
    return ok(f"{size(most)} at most, {policy}")


def _dict(answer: Any) -> dict[str, Any]:
    return dict(answer)

"""Redis or Valkey. A ledger runs without one, so whatever is wrong with it is a warning."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Iterator
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestration_server.cache.client import TIMEOUT_SECONDS, fault
from orchestration_server.doctor.findings import Finding, Installation, format_size, ok, warning

PINGS = 20
_PRIMARY = "REDIS_URL has to name the primary, not a replica"
_NO_CLUSTER = "REDIS_URL has to name a Redis that is not in cluster mode"
SLOW_SECONDS = 0.01
WAIT_SECONDS = 2.0


def cache(installation: Installation) -> Iterator[Finding]:
    """It answers, soon, and makes room when it is full."""
    if not installation.redis_url:
        yield ok(
            "none, and all works: contexts and reports are made anew each time, and servers of one ledger"
            " look for each other's events every 100 ms"
        )
        return
    client: redis.Redis | None = None
    try:
        client = redis.Redis.from_url(
            installation.redis_url,
            socket_timeout=WAIT_SECONDS,
            socket_connect_timeout=WAIT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        client.ping()
        seconds = statistics.median(_ping(client) for _ in range(PINGS))
        yield _use(client)
        yield _speed(_dict(client.info("server")), seconds)
        yield _memory(_dict(client.info("memory")))
    except ValueError:
        yield warning("REDIS_URL is not valid", "export REDIS_URL=redis://127.0.0.1:6379/0")
    except redis.ResponseError as error:
        yield _refused("ping or info", fault(error))
    except (redis.RedisError, OSError) as error:
        # Without the text of the error, which may hold what the URL does.
        yield warning(
            f"does not answer ({type(error).__name__}): all works without it, slower",
            'redis-cli -u "$REDIS_URL" ping',
        )
    finally:
        if client is not None:
            client.close()


def _use(client: redis.Redis) -> Finding:
    """Do what servers do with it: keep and read an answer, and wake another server."""
    name = f"orchestration:doctor:{secrets.token_hex(8)}"
    step = "set"
    try:
        client.set(name, b"1", ex=10)
        step = "get"
        if client.get(name) != b"1":
            return warning(
                "what was stored is not there a moment later: nothing is cached",
                'redis-cli -u "$REDIS_URL" info memory    # it may be full',
            )
        step = "del"
        client.delete(name)
        step = "subscribe"
        with client.pubsub() as heard:  # type: ignore[no-untyped-call]  # redis gives it no types
            heard.subscribe(name)
            heard.get_message(timeout=WAIT_SECONDS)
            step = "publish"
            client.publish(name, b"1")
            message = heard.get_message(timeout=WAIT_SECONDS)
    except (redis.RedisError, OSError) as error:
        return _refused(step, fault(error))
    if message is None or message.get("data") != b"1":
        return warning("a message that is published is not heard: servers do not wake each other", _PRIMARY)
    return ok("set, get, del, publish and subscribe work")


def _refused(step: str, error: str) -> Finding:
    """Return what a command that was refused means; nothing of its text, which may hold names of keys."""
    fixes = {
        "ReadOnlyError": _PRIMARY,
        "MovedError": _NO_CLUSTER,
        "ClusterDownError": _NO_CLUSTER,
        "NoPermissionError": "redis-cli acl setuser USER '~orchestration:*' '&orchestration:*'"
        " +@all -@dangerous +info    # as the default user",
        "OutOfMemoryError": 'redis-cli -u "$REDIS_URL" config set maxmemory-policy allkeys-lru',
        "MISCONF": 'redis-cli -u "$REDIS_URL" config set save ""    # nothing in it has to be kept',
    }
    fix = fixes.get(error, 'redis-cli -u "$REDIS_URL" ping')
    return warning(f"{step} is refused ({error}): all works without it, slower", fix)


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
            f"with the policy {policy or 'noeviction'} a full cache of {format_size(most)} takes nothing new",
            'redis-cli -u "$REDIS_URL" config set maxmemory-policy allkeys-lru',
        )
    return ok(f"{format_size(most)} at most, {policy}")


def _dict(answer: Any) -> dict[str, Any]:
    return dict(answer)

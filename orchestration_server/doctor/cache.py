"""Checks of Redis or Valkey. A ledger runs without a cache, so every fault is a warning."""

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
_PRIMARY = "REDIS_URL must name the primary, not a replica"
_NO_CLUSTER = "REDIS_URL must name a Redis that is not in cluster mode"
SLOW_SECONDS = 0.01
WAIT_SECONDS = 2.0


def cache(installation: Installation) -> Iterator[Finding]:
    """Check that the cache answers quickly and evicts entries when it is full."""
    if not installation.redis_url:
        yield ok(
            "none: everything works, but contexts and reports are assembled anew each time, and servers of"
            " one ledger poll for each other's events every 100 ms"
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
        # The text of the error is left out, because it may quote the URL.
        yield warning(
            f"does not answer ({type(error).__name__}): everything works without it, but slower",
            'redis-cli -u "$REDIS_URL" ping',
        )
    finally:
        if client is not None:
            client.close()


def _use(client: redis.Redis) -> Finding:
    """Use the cache as servers do: store and read an answer, and wake another server."""
    name = f"orchestration:doctor:{secrets.token_hex(8)}"
    step = "set"
    try:
        client.set(name, b"1", ex=10)
        step = "get"
        if client.get(name) != b"1":
            return warning(
                "a stored value is missing a moment later: nothing is cached",
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
        return warning("published messages do not arrive: servers do not wake each other", _PRIMARY)
    return ok("set, get, del, publish and subscribe work")


def _refused(step: str, error: str) -> Finding:
    """Return the finding about a refused command, without the error's text, which may have names of keys."""
    fixes = {
        "ReadOnlyError": _PRIMARY,
        "MovedError": _NO_CLUSTER,
        "ClusterDownError": _NO_CLUSTER,
        "NoPermissionError": "redis-cli acl setuser USER '~orchestration:*' '&orchestration:*'"
        " +@all -@dangerous +info    # as the default user",
        "OutOfMemoryError": 'redis-cli -u "$REDIS_URL" config set maxmemory-policy allkeys-lru',
        "MISCONF": 'redis-cli -u "$REDIS_URL" config set save ""    # no need to persist a cache',
    }
    fix = fixes.get(error, 'redis-cli -u "$REDIS_URL" ping')
    return warning(f"{step} is refused ({error}): everything works without it, but slower", fix)


def _ping(client: redis.Redis) -> float:
    began = time.perf_counter()
    client.ping()
    return time.perf_counter() - began


def _speed(server: dict[str, Any], seconds: float) -> Finding:
    valkey = server.get("valkey_version")
    name = f"Valkey {valkey}" if valkey else f"Redis {server.get('redis_version', 'of unknown version')}"
    text = f"{name} answers in {seconds * 1_000:.2f} ms at the median; the ledger also runs without it"
    if seconds > SLOW_SECONDS:
        limit = f"the ledger gives up on a command after {TIMEOUT_SECONDS * 1_000:.0f} ms"
        return warning(f"{text}; {limit}", "move the cache near the servers, or run without it")
    return ok(text)


def _memory(memory: dict[str, Any]) -> Finding:
    policy, most = memory.get("maxmemory_policy", ""), int(memory.get("maxmemory", 0))
    if not most:
        return warning(
            "its memory is not limited: entries expire after 5 minutes, and until then it grows",
            'redis-cli -u "$REDIS_URL" config set maxmemory 256mb',
        )
    if not policy.startswith("allkeys-"):
        return warning(
            f"with the policy {policy or 'noeviction'} a full cache ({format_size(most)}) stores nothing new",
            'redis-cli -u "$REDIS_URL" config set maxmemory-policy allkeys-lru',
        )
    return ok(f"{format_size(most)} at most, {policy}")


def _dict(answer: Any) -> dict[str, Any]:
    return dict(answer)

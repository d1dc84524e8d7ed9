"""A server that takes leases shorter than the promised 10 seconds, so that tests see them expire.

Run as a program it serves as `orchestration` does. The controls switch off what makes claims safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import psycopg

from orchestration.v1 import coordination_pb2
from orchestration_server import validation
from orchestration_server.store import claims, write_parts
from orchestration_server.validation.compiler import compile_rules
from orchestration_server.validation.constraints import Span
from orchestration_server.work import fences


@contextmanager
def allowed() -> Iterator[None]:
    """Take leases of any duration in this process, for the block."""
    request = coordination_pb2.ClaimTaskRequest
    rules = {**validation.RULES, request: {**validation.RULES[request], "lease": Span(0, 86_400)}}
    with mock.patch.object(validation, "_CHECKS", compile_rules(rules, validation.ACROSS)):
        yield


@contextmanager
def without_fences() -> Iterator[None]:
    """Accept every fence, and a write without one."""
    fenced = write_parts.FENCED
    start = fenced.index("from locked, unnest")
    counted = (
        fenced[:start]
        + """from unnest(%(f_code)s::text[], %(f_fence)s::bigint[]) as f (code, fence)
), """
    )
    with (
        mock.patch.object(fences, "check_fence", return_value=None),
        mock.patch.object(write_parts, "FENCED", counted),
    ):
        yield


@contextmanager
def without_compare_and_set(conn: psycopg.Connection) -> Iterator[None]:
    """Let a claim write what it decided, whatever happened since, and let no key of attempts help."""
    conn.execute("alter table attempts drop constraint attempts_pkey")
    claim: str = claims.CLAIM
    for check, nothing in (
        ("%(k_provider)s, k.ordinal - 1) = 0", "%(k_provider)s, k.ordinal - 1) is not null"),
        ("where not ledger_lease_valid(leases.expire_time, leases.seconds, leases.deadline)", "where true"),
        ("and t.revision = c.revision", ""),
    ):
        assert check in claim
        claim = claim.replace(check, nothing)
    with mock.patch.object(claims, "CLAIM", claim):
        yield


if __name__ == "__main__":
    from orchestration_server.__main__ import main

    with allowed():
        main()

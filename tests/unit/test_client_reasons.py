"""The errors of the Python client by reason: a class for each reason that docs/errors.md publishes."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import grpc
import pytest

import orchestration
from orchestration import ErrorDetails, LeaseLost, LedgerError, NotFound, StaleFence, StaleRevision, reasons
from orchestration.errors import error_details
from orchestration.reasons import BY_CODE, BY_REASON, ReasonError, ledger_error

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
CLASSES = [
    found for _, found in inspect.getmembers(reasons, inspect.isclass) if issubclass(found, ReasonError)
]


def published() -> dict[str, grpc.StatusCode]:
    """Return the status of each reason of the page's table."""
    found: dict[str, grpc.StatusCode] = {}
    status = ""
    for row in re.findall(r"^\| ([A-Z_]*) ?\| (`[^|]+) \|", PAGE.read_text(), re.MULTILINE):
        status = row[0] or status
        found |= dict.fromkeys(re.findall(r"`([A-Z_]+)`", row[1]), grpc.StatusCode[status])
    return found


def test_the_page_is_read_whole() -> None:
    assert len(published()) > 50
    assert published()["TOKEN_EXPIRED"] is grpc.StatusCode.UNAUTHENTICATED
    assert published()["CURSOR_EXPIRED"] is grpc.StatusCode.FAILED_PRECONDITION


def test_each_published_reason_has_one_class_and_no_class_has_another() -> None:
    named = [reason for found in CLASSES for reason in found.__dict__.get("reasons", ())]
    assert sorted(named) == sorted(published())


def test_a_class_belongs_to_the_status_of_its_reasons() -> None:
    for reason, status in published().items():
        assert issubclass(BY_REASON[reason], BY_CODE[status]), reason


def test_every_class_is_exported_and_says_what_to_do() -> None:
    for found in CLASSES:
        if found is not ReasonError:
            assert getattr(orchestration, found.__name__) is found
            assert found.__name__ in orchestration.__all__
        assert found.fix
        assert not found.fix.endswith(".")
        assert inspect.getdoc(found)


@pytest.mark.parametrize("reason", sorted(published()))
def test_the_text_has_reason_message_and_fix(reason: str) -> None:
    error = ledger_error(ErrorDetails(published()[reason], "the message", reason))
    assert isinstance(error, LedgerError)
    assert isinstance(error, grpc.RpcError)
    assert str(error).startswith(f"{reason}: the message\nWhat to do: ")
    assert "{" not in str(error)
    assert error.code() is published()[reason]


def test_the_fix_has_the_values_of_the_error() -> None:
    stale = ledger_error(
        ErrorDetails(grpc.StatusCode.ABORTED, "m", "STALE_REVISION", {"current_revision": "7"})
    )
    assert isinstance(stale, StaleRevision)
    assert stale.current_revision == 7
    assert "expected_revision=7" in str(stale)
    full = ErrorDetails(grpc.StatusCode.RESOURCE_EXHAUSTED, "m", "POOL_EXHAUSTED", retry_delay=0.25)
    assert str(ledger_error(full)).endswith("again, after 0.25 s.")
    fields = ErrorDetails(grpc.StatusCode.INVALID_ARGUMENT, "a: b", "INVALID_ARGUMENT", violations={"a": "b"})
    assert str(ledger_error(fields)).startswith("INVALID_ARGUMENT:\n  a: b\nWhat to do: ")


def test_an_unknown_reason_and_no_reason_get_the_class_of_their_status() -> None:
    assert type(ledger_error(ErrorDetails(grpc.StatusCode.NOT_FOUND, "m", "NEW_REASON"))) is NotFound
    assert type(ledger_error(ErrorDetails(grpc.StatusCode.NOT_FOUND, "m"))) is NotFound
    cancelled = ledger_error(ErrorDetails(grpc.StatusCode.CANCELLED, ""))
    assert type(cancelled) is ReasonError
    assert str(cancelled).startswith("CANCELLED: no message\n")


def test_the_loss_of_a_lease_is_a_stale_fence() -> None:
    lost = LeaseLost("the lease of task T is lost: r")
    assert isinstance(lost, StaleFence)
    assert (lost.reason, lost.code()) == ("STALE_FENCE", grpc.StatusCode.FAILED_PRECONDITION)


def test_details_that_cannot_be_read_leave_the_code() -> None:
    class Garbled(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.NOT_FOUND

        def details(self) -> str:
            return "it is not there"

        def trailing_metadata(self) -> Any:
            return (("grpc-status-details-bin", b"\xff\xfe no status"),)

    found = error_details(Garbled())
    assert (found.code, found.message, found.reason) == (grpc.StatusCode.NOT_FOUND, "it is not there", "")

"""Faults of the client, made on purpose so that the suite can be seen to find them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any
from unittest import mock

import grpc

from orchestration import emitting, errors, leases, paging, settings, timeline
from orchestration._sync import work
from orchestration.claims import WorkState
from orchestration.lease_keeper import LeaseKeeper
from orchestration.settings import Options

_chosen = ""
NO_RETRIES = (("grpc.enable_retries", 0),)
LONG = 10_000_000


def apply(name: str) -> None:
    """Break the client of this process in the named way; an empty name leaves it whole."""
    global _chosen
    _chosen = name
    if name and name not in _PATCHES and name not in _OTHERS:
        raise SystemExit(f"no such fault: {name}")
    if name in _PATCHES:
        _PATCHES[name]()


def channel_options() -> tuple[tuple[str, int | str], ...]:
    """Return the options of a channel that is broken."""
    return tuple(_OPTIONS.get(_chosen, ()))


def ledger_options() -> dict[str, Any]:
    """Return the arguments of a ledger that is broken."""
    return {"no-deadline": {"timeout": None}, "plaintext": {"credentials": None}}.get(_chosen, {})


def caller(future: Callable[..., Any]) -> Callable[..., Any]:
    """Return what makes a call."""
    if _chosen == "fresh-request-id":
        return lambda request, timeout: _Retried(future, request, timeout)
    if _chosen == "uncancellable":
        return lambda request, timeout: _Uncancellable(future(request, timeout=timeout))
    return future


def given(value: Any) -> Any:
    """Return what a caller gives, as a broken client understands it."""
    return _each_text(value, _CHANGES.get(_chosen))


def shown(value: Any) -> Any:
    """Return a message as a broken client shows it."""
    return _each_text(value, _CHANGES.get(_chosen))


def _each_text(value: Any, change: Callable[[str], str] | None) -> Any:
    if change is None:
        return value
    if isinstance(value, dict):
        return {key: _each_text(one, change) for key, one in value.items()}
    if isinstance(value, list):
        return [_each_text(one, change) for one in value]
    return change(value) if isinstance(value, str) else value


def _as_double(text: str) -> str:
    return str(min(int(float(text)), 2**63 - 1)) if text.isdigit() else text


def _as_ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


class _Retried:
    """A call that is retried here, each time with a new request_id."""

    def __init__(self, future: Callable[..., Any], request: Any, timeout: float | None) -> None:
        self._future, self._request, self._timeout = future, request, timeout

    def result(self) -> Any:
        for left in range(4, -1, -1):
            if "request_id" in self._request.DESCRIPTOR.fields_by_name:
                self._request.request_id = ""
            try:
                return self._future(self._request, timeout=self._timeout).result()
            except grpc.RpcError as error:
                if not left or error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
        raise AssertionError

    def cancel(self) -> None:
        """Cancel nothing."""


class _Uncancellable:
    def __init__(self, call: Any) -> None:
        self._call = call

    def result(self) -> Any:
        return self._call.result()

    def cancel(self) -> None:
        """Cancel nothing."""


def _forget_cursor() -> None:
    def resume(self: Any) -> Any:
        self.caught_up = False
        return self._request

    mock.patch.object(timeline._Position, "resume", resume).start()


def _ignore_retry_info() -> None:
    def details(error: grpc.RpcError) -> errors.ErrorDetails:
        return replace(errors.error_details(error), retry_delay=0.0)

    for module in (timeline, emitting):
        mock.patch.object(module, "error_details", details).start()


def _one_page() -> None:
    whole = paging.pages

    def pages(method: Any, request: Any) -> Iterator[Any]:
        def once(asked: Any) -> Any:
            page = method(asked)
            page.next_page_token = ""
            return page

        yield from islice(whole(once, request), None)

    mock.patch.object(paging, "pages", pages).start()


def _no_filter() -> None:
    whole = timeline.timeline_request
    mock.patch.object(timeline, "timeline_request", lambda _, **rest: whole(None, **rest)).start()


def _give_up_emission() -> None:
    def take_answer(self: Any, answer: Any) -> float | None:
        if isinstance(answer, errors.ErrorDetails):
            raise errors.LedgerError(answer)
        found: float | None = whole(self, answer)
        return found

    whole = emitting._Outbox.take_answer
    mock.patch.object(emitting._Outbox, "take_answer", take_answer).start()


def _ignore_environment() -> None:
    for name in [name for name in os.environ if name.startswith("ORCHESTRATION_")]:
        del os.environ[name]


def _retry_aborted() -> None:
    settings._RETRIES["retryableStatusCodes"] = ["UNAVAILABLE", "CANCELLED", "ABORTED"]


def _do_nothing(*_: Any, **__: Any) -> None:
    """Stand in for a part of the client."""


_PATCHES: dict[str, Callable[[], object]] = {
    "forget-cursor": _forget_cursor,
    "ignore-retry-info": _ignore_retry_info,
    "one-page": _one_page,
    "no-filter": _no_filter,
    "give-up-emission": _give_up_emission,
    "ignore-environment": _ignore_environment,
    "retry-aborted": _retry_aborted,
    "no-metadata": mock.patch.object(settings, "call_metadata", return_value=()).start,
    "token-anywhere": mock.patch.object(settings, "check_secret", _do_nothing).start,
    "plain-errors": mock.patch.object(errors, "_packed_details", return_value=()).start,
    "no-watchdog": mock.patch.object(leases.LeaseTable, "expire", _do_nothing).start,
    "no-heartbeats": mock.patch.object(LeaseKeeper, "keep", _do_nothing).start,
    "ignore-retry-info-of-claims": mock.patch.object(work, "sleep", _do_nothing).start,
    "write-when-lost": mock.patch.object(WorkState, "check", _do_nothing).start,
}
_OPTIONS: dict[str, Options] = {
    "no-retries": NO_RETRIES,
    "fresh-request-id": NO_RETRIES,
    # Probes of the bandwidth are pings, too.
    "no-keepalive": (
        ("grpc.keepalive_time_ms", LONG),
        ("grpc.http2.ping_timeout_ms", LONG),
        ("grpc.http2.bdp_probe", 0),
    ),
    "small-messages": (("grpc.max_receive_message_length", 4 * 1024 * 1024),),
}
_CHANGES: dict[str, Callable[[str], str]] = {"doubles": _as_double, "ascii": _as_ascii}
_OTHERS = {"no-deadline", "plaintext", "uncancellable", *_OPTIONS, *_CHANGES}

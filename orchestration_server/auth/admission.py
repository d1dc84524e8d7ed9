"""Admission control: decides which calls reach their handler.

If the ledger is open, a call without a credential costs nothing here. A credential that a call sends is
always verified: before the server receives the request if no look at the database is needed, else before it
parses the request. A key has a number of calls a minute, and a call that takes long counts as several. The
server refuses further lookups for an address off loopback whose calls were refused too often in the last
minute.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from orchestration_server import names
from orchestration_server.auth import permissions, scopes
from orchestration_server.auth.audit import ANY, RefusalAudit, RefusalKey
from orchestration_server.auth.credentials import Credentials, Identity
from orchestration_server.auth.permissions import RpcPolicy
from orchestration_server.auth.rate_limits import RateLimiter, rate_limited
from orchestration_server.db.database import Database
from orchestration_server.errors import (
    InvalidArgument,
    LedgerError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from orchestration_server.model import ALL_PROJECTS, AuthMode, Call, Principal, Scope, Share

REFUSALS_PER_MINUTE = 60
_PEER = re.compile(r"(ipv4|ipv6|unix(?:-abstract)?):(.*)", re.DOTALL)
ADDRESS_CACHE_SIZE = 4_096
NETWORK_BITS = 64

AUTHORIZATION = "authorization"
PROJECT = "orchestration-project"
STRANGERS = "\0strangers"
"""Stands for the project when calls with an unknown credential take turns."""
MAX_EXTRA_CALLS = 50
"""The most calls that one long call counts for, beside itself."""
SESSION = "orchestration-session"


def _text(value: object) -> str:
    """Return a metadata value as text; empty if it is absent or not text."""
    return value if isinstance(value, str) else ""


@lru_cache(ADDRESS_CACHE_SIZE)
def address_of(peer: str) -> str:
    """Return the address of ``context.peer()`` without its port; empty for a peer on this machine."""
    found = _PEER.fullmatch(unquote(peer))
    if found is None:
        return peer or "unknown"
    kind, rest = found.groups()
    if kind.startswith("unix"):
        return ""
    return _client_address(rest.rpartition(":")[0].strip("[]").partition("%")[0])


@lru_cache(ADDRESS_CACHE_SIZE)
def _client_address(host: str) -> str:
    """Return the address that refusals are counted by; empty for loopback.

    For IPv6 that is the network: a client chooses the rest of its address itself.
    """
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            network = ipaddress.ip_network((found, NETWORK_BITS), strict=False)
            return "" if found.is_loopback else str(network)
        found = found.ipv4_mapped
    return "" if found.is_loopback else str(found)


def _audit_project(requested: str, principal: Principal | None) -> str:
    """Return the project whose log records a refusal: never one that the caller may not open."""
    if principal is None:
        return permissions.DEFAULT_PROJECT
    if principal.project != ALL_PROJECTS:
        return principal.project
    return requested if names.PROJECT.fullmatch(requested) else permissions.DEFAULT_PROJECT


def _credential_missing() -> Unauthenticated:
    return Unauthenticated(
        "this ledger requires a key: send the metadata `authorization: Bearer KEY`, or set"
        " ORCHESTRATION_TOKEN for the Python client and `orchestration import`",
        reason="CREDENTIALS_MISSING",
    )


def _raise_if_limited(wait: float) -> None:
    if wait:
        raise rate_limited("refused calls from this address", REFUSALS_PER_MINUTE, wait, "RATE_LIMITED")


class Verdict(NamedTuple):
    """The result of ``Admission.identify``."""

    share: Share
    identity: Identity | None = None
    """The caller. None if the ledger is open, or if the caller is not known yet."""
    needs_lookup: bool = False
    """True if a thread has to call ``lookup`` before the server receives the request."""
    error: LedgerError | None = None
    """The error to refuse the call with at once."""


class Admission:
    """The checks that a call passes before its handler: authentication, rates, authorization."""

    def __init__(
        self,
        db: Database,
        credentials: Credentials,
        audit: RefusalAudit,
        *,
        mode: AuthMode,
        rate_limiter: RateLimiter,
        calls_per_minute: int,
        events_per_minute: int,
    ) -> None:
        self._db = db
        self._credentials = credentials
        self._audit = audit
        self._mode = mode
        self._rate_limiter = rate_limiter
        self._calls_per_minute = calls_per_minute
        self._events_per_minute = events_per_minute

    @property
    def open(self) -> bool:
        """Return whether a call needs no credential."""
        return self._mode is AuthMode.OPEN or (self._mode is AuthMode.AUTO and not self._credentials.exist)

    def identify(self, rpc: str, metadata: Iterable[tuple[str, Any]], peer: Callable[[], str]) -> Verdict:
        """Identify the caller from memory alone. It does not wait."""
        header = project = ""
        for key, value in metadata:
            if key == AUTHORIZATION:
                if header:
                    error = InvalidArgument({f"metadata.{AUTHORIZATION}": "must be given once"})
                    return Verdict((STRANGERS, ""), error=error)
                header = _text(value)
            elif key == PROJECT:
                project = _text(value)
        if not header:
            if self.open:
                # An open ledger listens on loopback alone, so addresses do not distinguish callers.
                return Verdict((project or permissions.DEFAULT_PROJECT, ""))
            address = address_of(peer())
            if not address:
                refused = self._refused(rpc, project, _credential_missing(), peer, None)
                return Verdict((STRANGERS, ""), error=refused)
            # Counting the refusals of an address may take a while.
            return Verdict((STRANGERS, address), needs_lookup=True)
        identity = self._credentials.known(header)
        if identity is None or self._credentials.refusal(identity) is not None:
            return Verdict((STRANGERS, address_of(peer())), needs_lookup=True)
        principal = identity.principal
        opens_all = principal.project == ALL_PROJECTS
        share = (project or permissions.DEFAULT_PROJECT) if opens_all else principal.project
        return Verdict((share, principal.id), identity)

    def lookup(self, rpc: str, metadata: Iterable[tuple[str, Any]], peer: Callable[[], str]) -> Identity:
        """Return the caller, read from the database if need be. Raises as ``authenticate`` does."""
        given = dict(metadata)
        try:
            return self._identity(_text(given.get(AUTHORIZATION)), address_of(peer()))
        except (Unauthenticated, ResourceExhausted) as error:
            raise self._refused(rpc, _text(given.get(PROJECT)), error, peer, None) from None

    def authenticate(
        self,
        rpc: str,
        metadata: Mapping[str, Any],
        peer: Callable[[], str],
        *,
        known: Identity | None = None,
    ) -> Identity | None:
        """Return the caller if its credential allows this rpc; None if the ledger is open.

        Raises Unauthenticated, PermissionDenied, or ResourceExhausted if a rate is exceeded.

        Args:
            rpc: The rpc's service and name.
            metadata: The call's metadata, as the caller sent it.
            peer: Returns the address of the connection.
            known: The caller that ``identify`` or ``lookup`` found.
        """
        header = metadata.get(AUTHORIZATION)
        if not header and self.open:
            return None
        requested = _text(metadata.get(PROJECT))
        identity = known
        try:
            if identity is None:
                identity = self._identity(_text(header), address_of(peer()))
            else:
                self._credentials.check(identity)
            principal = identity.principal
            self._count_call(principal)
            permissions.authorize(permissions.policy_for(rpc), principal)
            project = permissions.resolve_project(principal, requested)
            session = permissions.resolve_session(principal, _text(metadata.get(SESSION)))
            if principal.sprint_code and session:
                scopes.check_session(self._db, principal, project, session)
        except (Unauthenticated, PermissionDenied, ResourceExhausted) as error:
            caller = identity.principal if identity is not None else None
            raise self._refused(rpc, requested, error, peer, caller) from None
        return identity

    def charge(self, call: Call, calls: int) -> None:
        """Count a long call as ``calls`` more calls of its caller."""
        principal = call.principal
        if principal is not None:
            self._rate_limiter.charge("calls", principal.id, min(calls, MAX_EXTRA_CALLS))

    def _identity(self, header: str, address: str) -> Identity:
        identity = self._credentials.known(header) if header else None
        try:
            if identity is None:
                # A credential that was valid once is looked up even if its address is limited.
                if address and not self._credentials.remembers(header):
                    _raise_if_limited(self._rate_limiter.wait("refused", address))
                identity = self._verified(header)
            self._credentials.check(identity)
        except Unauthenticated:
            self._count_refusal(address)
            raise
        return identity

    def _verified(self, header: str) -> Identity:
        if header:
            return self._credentials.verify(header)
        raise _credential_missing()

    def _count_refusal(self, address: str) -> None:
        """Count a refusal of an address. Raises ResourceExhausted if it had too many."""
        if address:
            _raise_if_limited(self._rate_limiter.take("refused", address, REFUSALS_PER_MINUTE))

    def _count_call(self, principal: Principal) -> None:
        limit = principal.per_minute or self._calls_per_minute
        wait = self._rate_limiter.take("calls", principal.id, limit)
        if wait:
            raise rate_limited("calls by this key", limit, wait, "RATE_LIMITED")

    def authorize_request(self, request: Any, call: Call, peer: Callable[[], str]) -> Scope | None:
        """Return the scope of a request, or of one message of a stream; None if the key has no scope.

        Raises PermissionDenied if the request leaves the key's scope, and ResourceExhausted if it exceeds the
        key's rate of events.
        """
        principal = call.principal
        if principal is None:
            return None
        policy = permissions.policy_for(call.rpc)
        scope = None
        try:
            if principal.scoped and not policy.unscoped:
                assert policy.resources is not None
                scope = scopes.resolve_scope(self._db, call, principal, list(policy.resources(request)))
            if policy.events is not None:
                self._count_events(principal, policy, request)
        except (PermissionDenied, ResourceExhausted) as error:
            raise self._refused(call.rpc, call.project, error, peer, principal) from None
        return scope

    def _count_events(self, principal: Principal, policy: RpcPolicy, request: Any) -> None:
        assert policy.events is not None
        limit = principal.events_per_minute or self._events_per_minute
        wait = self._rate_limiter.take("events", principal.id, limit, policy.events(request))
        if wait:
            raise rate_limited("events by this key", limit, wait, "EVENTS_RATE_LIMITED")

    def _refused(
        self, rpc: str, project: str, error: LedgerError, peer: Callable[[], str], principal: Principal | None
    ) -> LedgerError:
        """Record a refusal and return its error, or another one if its address had too many refusals."""
        address = address_of(peer())
        if isinstance(error, PermissionDenied):
            try:
                self._count_refusal(address)
            except ResourceExhausted as too_many:
                error = too_many
        error.noted = True
        caller = "" if principal is None else principal.id
        if isinstance(error, ResourceExhausted):
            # All rpcs count together, or a caller could fill the audit by trying each of them.
            rpc = ANY
        within = _audit_project(project, principal)
        self._audit.record(RefusalKey(within, rpc, error.reason, address or "loopback", caller))
        return error

    def record_refusal(self, error: Exception, call: Call | None, peer: Callable[[], str]) -> None:
        """Record an error that the handler refused an authenticated call with."""
        if isinstance(error, PermissionDenied) and not error.noted and call is not None:
            self._refused(call.rpc, call.project, error, peer, call.principal)

    def watch(self, identity: Identity | None, end: Callable[[], object]) -> Callable[[], None] | None:
        """Call ``end`` when a stream's credential stops being valid. Return a function that cancels this.

        A stream without a credential ends when the first key is made. Return None if it may stay.
        """
        if identity is None and self._mode is AuthMode.OPEN:
            return None
        return self._credentials.watch(identity, end)

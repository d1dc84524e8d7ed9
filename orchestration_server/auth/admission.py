"""Who is let in: what stands between the beginning of a call and its handler.

Where the ledger is open a call without a credential costs nothing here. A credential that is given is judged
in any case, before the request is taken in if that needs no look at the database, else before it is parsed.
A key has a number of calls a minute, and a call that takes long counts for several. If a peer off loopback
was refused often in a minute, what it has to be looked up for is refused unseen.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from orchestration_server.auth import permissions, scopes
from orchestration_server.auth.audit import ANY, Kind, Refusals
from orchestration_server.auth.credentials import Credentials, Identity
from orchestration_server.auth.permissions import Rule
from orchestration_server.auth.rate_limits import Rates, exhausted
from orchestration_server.db.database import Database
from orchestration_server.errors import (
    InvalidArgument,
    LedgerError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from orchestration_server.model import ALL_PROJECTS, AuthMode, Call, Principal, Share

REFUSED_A_MINUTE = 60
_PEER = re.compile(r"(ipv4|ipv6|unix(?:-abstract)?):(.*)", re.DOTALL)
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ADDRESSES = 4_096
"""Whose callers are known without being looked at again."""
NETWORK_BITS = 64

AUTHORIZATION = "authorization"
PROJECT = "orchestration-project"
STRANGERS = "\0strangers"
"""In place of a project, for the turns of calls whose credential is not known."""
COST_MOST = 50
"""Calls that one call counts for beside itself, at the most."""
SESSION = "orchestration-session"


def _text(value: object) -> str:
    """A value of the metadata; empty where there is none, or it is no text."""
    return value if isinstance(value, str) else ""


@lru_cache(ADDRESSES)
def address_of(peer: str) -> str:
    """The address of ``context.peer()`` without its port; empty for a peer on this machine."""
    found = _PEER.fullmatch(unquote(peer))
    if found is None:
        return peer or "unknown"
    kind, rest = found.groups()
    if kind.startswith("unix"):
        return ""
    return _caller(rest.rpartition(":")[0].strip("[]").partition("%")[0])


@lru_cache(ADDRESSES)
def _caller(host: str) -> str:
    """Who calls from an address: nobody from elsewhere where it is loopback, and of IPv6 its network, as the
    rest is the caller's to choose."""
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


def _told_in(asked: str, principal: Principal | None) -> str:
    """The project that a refusal is told in: never one that its caller could not call."""
    if principal is None:
        return permissions.DEFAULT_PROJECT
    if principal.project != ALL_PROJECTS:
        return principal.project
    return asked if _PROJECT.fullmatch(asked) else permissions.DEFAULT_PROJECT


def _missing() -> Unauthenticated:
    return Unauthenticated(
        "this ledger takes a key: send the metadata `authorization: Bearer KEY`, or set"
        " ORCHESTRATION_TOKEN for the Python client and `orchestration import`",
        reason="CREDENTIALS_MISSING",
    )


def _hold_back(wait: float) -> None:
    if wait:
        raise exhausted("refused calls from this address", REFUSED_A_MINUTE, wait, "RATE_LIMITED")


class Verdict(NamedTuple):
    """What the metadata of a call says of who calls."""

    share: Share
    admitted: object = None
    """Who calls, for the handler; None if that is open or not known yet."""
    look: bool = False
    """Who calls has to be looked up, on a thread, before the message is taken in."""
    error: LedgerError | None = None
    """Why the call is refused at once."""


class Admission:
    """Lets calls in or refuses them."""

    def __init__(
        self,
        db: Database,
        credentials: Credentials,
        refusals: Refusals,
        *,
        mode: AuthMode,
        rates: Rates,
        calls_per_minute: int,
        events_per_minute: int,
    ) -> None:
        self._db = db
        self._credentials = credentials
        self._refusals = refusals
        self._mode = mode
        self._rates = rates
        self._calls = calls_per_minute
        self._events = events_per_minute

    @property
    def open(self) -> bool:
        """Whether a call without a credential is let in."""
        return self._mode is AuthMode.OPEN or (self._mode is AuthMode.AUTO and not self._credentials.exist)

    def judge(self, rpc: str, metadata: Iterable[tuple[str, Any]], peer: Callable[[], str]) -> Verdict:
        """Judge who calls by what is in memory."""
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
                # On loopback alone: there are no addresses to tell callers by.
                return Verdict((project or permissions.DEFAULT_PROJECT, ""))
            address = address_of(peer())
            if not address:
                refused = self._refused(rpc, project, _missing(), peer, None)
                return Verdict((STRANGERS, ""), error=refused)
            # How often its address was refused has to be counted, which may take a while.
            return Verdict((STRANGERS, address), look=True)
        identity = self._credentials.known(header)
        if identity is None or self._credentials.refusal(identity) is not None:
            return Verdict((STRANGERS, address_of(peer())), look=True)
        principal = identity.principal
        everywhere = principal.project == ALL_PROJECTS
        share = (project or permissions.DEFAULT_PROJECT) if everywhere else principal.project
        return Verdict((share, principal.id), identity)

    def look(self, rpc: str, metadata: Iterable[tuple[str, Any]], peer: Callable[[], str]) -> Identity:
        """Look up who calls. Raises as ``enter`` does."""
        said = dict(metadata)
        try:
            return self._identity(_text(said.get(AUTHORIZATION)), address_of(peer()))
        except (Unauthenticated, ResourceExhausted) as error:
            raise self._refused(rpc, _text(said.get(PROJECT)), error, peer, None) from None

    def enter(
        self, rpc: str, said: Mapping[str, Any], peer: Callable[[], str], *, known: Identity | None = None
    ) -> Identity | None:
        """Who calls, where its credential lets it call this rpc; None where that is open.

        Unauthenticated, PermissionDenied, or ResourceExhausted for what is too often. ``said`` is the call's
        metadata as it came, and ``known`` what ``judge`` or ``look`` has found.
        """
        header = said.get(AUTHORIZATION)
        if not header and self.open:
            return None
        asked = _text(said.get(PROJECT))
        identity = known
        try:
            if identity is None:
                identity = self._identity(_text(header), address_of(peer()))
            else:
                self._credentials.check(identity)
            principal = identity.principal
            self._count(principal)
            rule = permissions.rule_of(rpc)
            permissions.authorize(rule, principal)
            permissions.project_of(principal, asked)
            session = permissions.session_of(principal, _text(said.get(SESSION)))
            if principal.sprint_code and session:
                scopes.within(self._db, principal, permissions.project_of(principal, asked), session)
        except (Unauthenticated, PermissionDenied, ResourceExhausted) as error:
            caller = identity.principal if identity is not None else None
            raise self._refused(rpc, asked, error, peer, caller) from None
        return identity

    def charge(self, call: Call, times: int) -> None:
        """Count a call that took long as so many more."""
        principal = call.principal
        if principal is not None:
            self._rates.charge("calls", principal.id, min(times, COST_MOST))

    def _identity(self, header: str, address: str) -> Identity:
        identity = self._credentials.known(header) if header else None
        try:
            if identity is None:
                # What was good once is looked up whatever its neighbours do.
                if address and not self._credentials.remembers(header):
                    _hold_back(self._rates.wait("refused", address))
                identity = self._verified(header)
            self._credentials.check(identity)
        except Unauthenticated:
            self._take_refusal(address)
            raise
        return identity

    def _verified(self, header: str) -> Identity:
        if header:
            return self._credentials.verify(header)
        raise _missing()

    def _take_refusal(self, address: str) -> None:
        """Counts one that is refused; ResourceExhausted where there were too many."""
        if address:
            _hold_back(self._rates.take("refused", address, REFUSED_A_MINUTE))

    def _count(self, principal: Principal) -> None:
        most = principal.per_minute or self._calls
        wait = self._rates.take("calls", principal.id, most)
        if wait:
            raise exhausted("calls by this key", most, wait, "RATE_LIMITED")

    def admit(self, request: Any, call: Call, peer: Callable[[], str]) -> None:
        """Refuses a request, or one of a stream's, outside what the key is held to or above its events."""
        principal = call.principal
        if principal is None:
            return
        rule = permissions.rule_of(call.rpc)
        try:
            if principal.held and not rule.free:
                assert rule.about is not None
                call.bounds = scopes.bounds(self._db, call, principal, list(rule.about(request)))
            if rule.events is not None:
                self._count_events(principal, rule, request)
        except (PermissionDenied, ResourceExhausted) as error:
            raise self._refused(call.rpc, call.project, error, peer, principal) from None

    def _count_events(self, principal: Principal, rule: Rule, request: Any) -> None:
        assert rule.events is not None
        most = principal.events_per_minute or self._events
        wait = self._rates.take("events", principal.id, most, rule.events(request))
        if wait:
            raise exhausted("events by this key", most, wait, "EVENTS_RATE_LIMITED")

    def _refused(
        self, rpc: str, project: str, error: LedgerError, peer: Callable[[], str], principal: Principal | None
    ) -> LedgerError:
        """Notes a refusal; another error where there were too many from its address."""
        address = address_of(peer())
        if isinstance(error, PermissionDenied):
            try:
                self._take_refusal(address)
            except ResourceExhausted as too_many:
                error = too_many
        error.noted = True
        caller = "" if principal is None else principal.id
        if isinstance(error, ResourceExhausted):
            # One kind, however many rpcs are tried.
            rpc = ANY
        within = _told_in(project, principal)
        self._refusals.note(Kind(within, rpc, error.reason, address or "loopback", caller))
        return error

    def note(self, error: Exception, call: Call | None, peer: Callable[[], str]) -> None:
        """Notes what was refused further on, by what the call found."""
        if isinstance(error, PermissionDenied) and not error.noted and call is not None:
            self._refused(call.rpc, call.project, error, peer, call.principal)

    def watch(self, identity: Identity | None, end: Callable[[], object]) -> Callable[[], None] | None:
        """Has a stream end once its credential is good no more; what is returned takes that back.

        One without a credential ends when there is a key; None where it may stay.
        """
        if identity is None and self._mode is AuthMode.OPEN:
            return None
        return self._credentials.watch(identity, end)

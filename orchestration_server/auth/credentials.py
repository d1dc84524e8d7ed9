"""Who a credential says that calls: verified once, then known by its hash.

A call with a credential that is known reads no database. What is in use is looked at again behind the calls,
every 2 seconds, so a key that is revoked is refused within that on every server, and its open streams end.
Where the database does not answer, a key that was not looked at for 10 seconds is not taken either.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from hmac import compare_digest
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from orchestration_server.auth.api_keys import KEY, LONGEST, digest
from orchestration_server.config.settings import ConfigurationError
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import Unauthenticated
from orchestration_server.model import Principal
from orchestration_server.store import keys as store
from orchestration_server.store.database_clock import DatabaseClock

if TYPE_CHECKING:
    from orchestration_server.auth.jwt_verifier import Source

log = structlog.get_logger()

KNOWN = 20_000
"""Credentials that are kept in mind; of more, those that came last."""
UNKNOWN = 1_000
LOOK_SECONDS = 2.0
"""How often what is in use is looked at again."""
STALE_SECONDS = 10.0
"""After so long without a look a call has to look for itself."""
UNKNOWN_SECONDS = 2.0
"""How long a key that there is none of is taken for that without another look."""
USED_SECONDS = 60.0
"""How often it is noted which keys are in use."""
_SCHEME = "bearer "
_FOREVER = float("inf")

Item = TypeVar("Item")


class _Bounded(OrderedDict[bytes, Item], Generic[Item]):
    """Keeps what was set last."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def set(self, key: bytes, item: Item) -> None:
        self[key] = item
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)


class Identity:
    """A credential that was good when it was last looked at."""

    __slots__ = ("expires", "key_id", "looked", "noted", "principal", "revoked", "used")

    def __init__(self, principal: Principal, key_id: str, expires: float, looked: float) -> None:
        self.principal = principal
        self.key_id = key_id
        """Empty for a token."""
        self.expires = expires
        self.looked = looked
        self.revoked = False
        self.used = True
        """Since the last look."""
        self.noted = True
        """Has to be noted as in use."""

    def refusal(self, now: float) -> Unauthenticated | None:
        """Why it is not good any more."""
        if self.revoked:
            return Unauthenticated("the key is revoked: ask for another", reason="KEY_REVOKED")
        if now >= self.expires:
            if self.key_id:
                return Unauthenticated("the key has expired: ask for another", reason="KEY_EXPIRED")
            return Unauthenticated("the token has expired: get a new one", reason="TOKEN_EXPIRED")
        return None


def _no_such_key() -> Unauthenticated:
    return Unauthenticated("there is no such key here")


class Credentials:
    """What one process knows of who may call. ``source`` is for JWTs, where they are let in; ``clock`` is
    monotonic, ``now`` the database's clock."""

    def __init__(
        self,
        db: Database,
        source: Source | None = None,
        *,
        now: DatabaseClock,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._source = source
        self._clock = clock
        self._now = now
        self._known: _Bounded[Identity] = _Bounded(KNOWN)
        self._unknown: _Bounded[float] = _Bounded(UNKNOWN)
        self._streams: dict[object, tuple[Identity | None, Callable[[], object]]] = {}
        self._lock = threading.Lock()
        self._failing = False
        self._noted_at = clock()
        self.exist = source is not None
        """Whether a key was ever made, or JWTs are let in."""
        with db.connection() as conn:
            self.exist = self.exist or store.exist(conn)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="credentials", daemon=True)
        self._thread.start()

    def known(self, header: str) -> Identity | None:
        """Who calls by the value of ``authorization``, where that is known without a look at the database."""
        identity = self._remembered(header)
        if identity is None or (identity.key_id and self._clock() - identity.looked > STALE_SECONDS):
            return None
        return identity

    def remembers(self, header: str) -> bool:
        """Whether it was good once, though it may have to be looked up again."""
        return self._remembered(header) is not None

    def _remembered(self, header: str) -> Identity | None:
        if header[: len(_SCHEME)].lower() != _SCHEME:
            return None
        return self._known.get(digest(header[len(_SCHEME) :]))

    def verify(self, header: str) -> Identity:
        """Who calls, looked up.

        Unauthenticated where that is no credential of this ledger; UNAVAILABLE where the database is asked
        and away.
        """
        credential = header[len(_SCHEME) :]
        if header[: len(_SCHEME)].lower() != _SCHEME or not credential:
            raise Unauthenticated('authorization takes "Bearer" and a key or a token')
        mark = digest(credential)
        key = KEY.fullmatch(credential)
        if key is not None:
            identity = self._read(mark, key[1])
        elif self._source is not None and len(credential) <= LONGEST:
            verified = self._source.bearer.verify(credential)
            identity = Identity(verified.principal, "", verified.expires, 0.0)
        else:
            raise Unauthenticated("this is no key of this ledger")
        with self._lock:
            self._known.set(mark, identity)
        return identity

    def refusal(self, identity: Identity) -> Unauthenticated | None:
        """Return why a credential is not good any more; None if it is."""
        return identity.refusal(self._now.timestamp())

    def check(self, identity: Identity) -> None:
        """Raises Unauthenticated where a credential is not good any more; else notes that it is in use."""
        refusal = self.refusal(identity)
        if refusal is not None:
            try:
                raise refusal
            finally:
                # A name here would hold the error, and its traceback all that the call has.
                del refusal
        identity.used = identity.noted = True

    def _read(self, mark: bytes, key_id: str) -> Identity:
        now = self._clock()
        if now < self._unknown.get(mark, 0.0):
            raise _no_such_key()
        with self._db.connection() as conn:
            row = store.get(conn, ids=[key_id]).get(key_id)
        if row is None or not compare_digest(row.digest, mark):
            with self._lock:
                self._unknown.set(mark, now + UNKNOWN_SECONDS)
            raise _no_such_key()
        self.exist = True
        principal = Principal(
            row.id, row.project, row.role, row.session_key, row.sprint_code, row.per_minute,
            row.events_per_minute,
        )  # fmt: skip
        expires = _FOREVER if row.expire_time is None else row.expire_time.timestamp()
        identity = Identity(principal, row.id, expires, now)
        identity.revoked = row.revoke_time is not None
        return identity

    def watch(self, identity: Identity | None, end: Callable[[], object]) -> Callable[[], None]:
        """Has ``end`` called when the credential is good no more; what is returned takes that back.

        None is for who came without one: it is good until there is a key.
        """
        place = object()
        with self._lock:
            self._streams[place] = (identity, end)
        return lambda: self._forget(place)

    @property
    def streams(self) -> int:
        """How many streams are watched."""
        return len(self._streams)

    def _forget(self, place: object) -> None:
        with self._lock:
            self._streams.pop(place, None)

    def look(self) -> None:
        """Looks again at what is in use, and ends the streams of what is not good any more."""
        with self._lock:
            streams = list(self._streams.values())
            held = list(self._known.values())
        watched = {identity for identity, _ in streams if identity is not None}
        for identity in watched:
            identity.used = True
        identities = {*held, *watched}
        try:
            self._look_at({one for one in identities if one.used and one.key_id})
        finally:
            # Tokens, and what has expired, need no database.
            self._look_at_bearer(identities)
            now = self._now.timestamp()
            for one, end in streams:
                if self.exist if one is None else one.refusal(now) is not None:
                    end()

    def _look_at(self, identities: set[Identity]) -> None:
        began = self._clock()
        note = began - self._noted_at >= USED_SECONDS
        if self.exist and not (identities or note):
            return
        with self._db.connection() as conn:
            self.exist = self.exist or store.exist(conn)
            found = store.get(conn, ids=sorted({one.key_id for one in identities})) if identities else {}
            for one in identities:
                row = found.get(one.key_id)
                one.used = False
                one.revoked = row is None or row.revoke_time is not None
                one.looked = began
            if note:
                self._noted_at = began
                self._note(conn)

    def _note(self, conn: Connection) -> None:
        with self._lock:
            noted = [one for one in self._known.values() if one.noted and one.key_id]
        for one in noted:
            one.noted = False
        if noted:
            store.note_used(conn, ids=[one.key_id for one in noted])

    def _look_at_bearer(self, identities: set[Identity]) -> None:
        try:
            if self._source is None or not self._source.changed():
                return
        except ConfigurationError as error:
            log.warning("the keys of tokens stay as they were", error=str(error))
            return
        for one in identities:
            one.revoked = one.revoked or not one.key_id
        with self._lock:
            for mark in [mark for mark, one in self._known.items() if not one.key_id]:
                del self._known[mark]

    def _run(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            try:
                self._now.refresh()
                self.look()
            except Exception as error:
                if not self._failing:
                    log.warning("keys not looked at", error=error)
                self._failing = True
            else:
                self._failing = False

    def close(self) -> None:
        """Notes what is in use and ends."""
        self._closed.set()
        self._thread.join(timeout=5)

"""Credentials that the server has verified, each kept under its hash.

A call with a known credential reads no database. A thread refreshes the credentials in use every 2 seconds,
so every server refuses a revoked key within that time and ends its open streams. While the database does not
answer, the server also refuses a key that was not refreshed for 10 seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from hmac import compare_digest
from typing import TYPE_CHECKING

import structlog

from orchestration_server.auth.api_keys import KEY, MAX_CREDENTIAL_CHARS, digest
from orchestration_server.cache.lru import LruDict
from orchestration_server.config.settings import ConfigurationError
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import Unauthenticated
from orchestration_server.model import Principal
from orchestration_server.store import keys as key_store
from orchestration_server.store.database_clock import DatabaseClock

if TYPE_CHECKING:
    from orchestration_server.auth.jwt_verifier import JwtKeyFile

log = structlog.get_logger()

MAX_KNOWN = 20_000
"""Credentials kept in memory."""
MAX_UNKNOWN = 1_000
REFRESH_SECONDS = 2.0
STALE_SECONDS = 10.0
"""The age from which a call has to refresh its credential itself."""
UNKNOWN_SECONDS = 2.0
"""The time for which a key that does not exist is refused without a look at the database."""
USE_SECONDS = 60.0
"""The interval at which the server stores which keys are in use."""
_SCHEME = "bearer "
_FOREVER = float("inf")


class Identity:
    """A credential that was valid at ``checked_at``."""

    __slots__ = ("checked_at", "expires", "key_id", "principal", "revoked", "use_unstored", "used")

    def __init__(self, principal: Principal, key_id: str, expires: float, checked_at: float) -> None:
        self.principal = principal
        self.key_id = key_id
        """Empty for a JWT."""
        self.expires = expires
        self.checked_at = checked_at
        self.revoked = False
        self.used = True
        """True if a call used it since the last refresh."""
        self.use_unstored = True
        """True if its use has yet to be stored in the database."""

    def refusal(self, now: float) -> Unauthenticated | None:
        """Return the error to refuse it with; None if it is valid."""
        if self.revoked:
            return Unauthenticated("the key is revoked: ask for another", reason="KEY_REVOKED")
        if now >= self.expires:
            if self.key_id:
                return Unauthenticated("the key has expired: ask for another", reason="KEY_EXPIRED")
            return Unauthenticated("the token has expired: get a new one", reason="TOKEN_EXPIRED")
        return None


def _no_such_key() -> Unauthenticated:
    return Unauthenticated("this ledger has no such key")


class Credentials:
    """The credentials that one process knows."""

    def __init__(
        self,
        db: Database,
        jwt_keys: JwtKeyFile | None = None,
        *,
        now: DatabaseClock,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the thread that refreshes them.

        Args:
            db: The database with the API keys.
            jwt_keys: The keys that sign JWTs. Without them the server accepts no JWT.
            now: The database's clock.
            clock: A monotonic clock.
        """
        self._db = db
        self._jwt_keys = jwt_keys
        self._clock = clock
        self._now = now
        self._known: LruDict[bytes, Identity] = LruDict(MAX_KNOWN)
        self._unknown: LruDict[bytes, float] = LruDict(MAX_UNKNOWN)
        self._streams: dict[object, tuple[Identity | None, Callable[[], object]]] = {}
        self._lock = threading.Lock()
        self._failing = False
        self._use_stored_at = clock()
        self.exist = jwt_keys is not None
        """True if a key was ever made, or if the server accepts JWTs."""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="credentials", daemon=True)

    def start(self) -> None:
        """Look up whether a key exists, and start the thread that refreshes credentials."""
        with self._db.connection() as conn:
            self.exist = self.exist or key_store.exist(conn)
        self._thread.start()

    def known(self, header: str) -> Identity | None:
        """Return the caller of an ``authorization`` header if no look at the database is needed."""
        identity = self._remembered(header)
        if identity is None or (identity.key_id and self._clock() - identity.checked_at > STALE_SECONDS):
            return None
        return identity

    def remembers(self, header: str) -> bool:
        """Return whether the credential was valid once, even if it has to be verified again."""
        return self._remembered(header) is not None

    def _remembered(self, header: str) -> Identity | None:
        if header[: len(_SCHEME)].lower() != _SCHEME:
            return None
        return self._known.get(digest(header[len(_SCHEME) :]))

    def verify(self, header: str) -> Identity:
        """Return the caller of an ``authorization`` header, read from the database if it is a key.

        Raises Unauthenticated if this is no credential of this ledger, and Unavailable if the database does
        not answer.
        """
        credential = header[len(_SCHEME) :]
        if header[: len(_SCHEME)].lower() != _SCHEME or not credential:
            raise Unauthenticated('authorization takes "Bearer" and a key or a token')
        hashed = digest(credential)
        key = KEY.fullmatch(credential)
        if key is not None:
            identity = self._read(hashed, key[1])
        elif self._jwt_keys is not None and len(credential) <= MAX_CREDENTIAL_CHARS:
            verified = self._jwt_keys.verifier.verify(credential)
            identity = Identity(verified.principal, "", verified.expires, 0.0)
        else:
            raise Unauthenticated("this is no key of this ledger")
        with self._lock:
            self._known[hashed] = identity
        return identity

    def refusal(self, identity: Identity) -> Unauthenticated | None:
        """Return the error to refuse a credential with; None if it is valid."""
        return identity.refusal(self._now.timestamp())

    def check(self, identity: Identity) -> None:
        """Mark a credential as in use. Raises Unauthenticated if it is not valid any more."""
        refusal = self.refusal(identity)
        if refusal is not None:
            try:
                raise refusal
            finally:
                # The name would keep the error, and its traceback everything that belongs to the call.
                del refusal
        identity.used = identity.use_unstored = True

    def _read(self, hashed: bytes, key_id: str) -> Identity:
        now = self._clock()
        if now < self._unknown.get(hashed, 0.0):
            raise _no_such_key()
        with self._db.connection() as conn:
            row = key_store.get(conn, ids=[key_id]).get(key_id)
        if row is None or not compare_digest(row.digest, hashed):
            with self._lock:
                self._unknown[hashed] = now + UNKNOWN_SECONDS
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
        """Call ``end`` when the credential stops being valid. Return a function that cancels this.

        ``identity`` is None for a caller without a credential, which may stay until the first key is made.
        """
        stream = object()
        with self._lock:
            self._streams[stream] = (identity, end)
        return lambda: self._forget(stream)

    @property
    def streams(self) -> int:
        """The number of streams that are watched."""
        return len(self._streams)

    def _forget(self, stream: object) -> None:
        with self._lock:
            self._streams.pop(stream, None)

    def refresh(self) -> None:
        """Read the credentials in use again, and end the streams of those that are not valid any more."""
        with self._lock:
            streams = list(self._streams.values())
            known = list(self._known.values())
        watched = {identity for identity, _ in streams if identity is not None}
        for identity in watched:
            identity.used = True
        identities = {*known, *watched}
        try:
            self._refresh_keys({one for one in identities if one.used and one.key_id})
        finally:
            # JWTs and expiry need no database.
            self._refresh_jwts(identities)
            now = self._now.timestamp()
            for one, end in streams:
                if self.exist if one is None else one.refusal(now) is not None:
                    end()

    def _refresh_keys(self, identities: set[Identity]) -> None:
        began = self._clock()
        stores_use = began - self._use_stored_at >= USE_SECONDS
        if self.exist and not (identities or stores_use):
            return
        with self._db.connection() as conn:
            self.exist = self.exist or key_store.exist(conn)
            found = key_store.get(conn, ids=sorted({one.key_id for one in identities})) if identities else {}
            for one in identities:
                row = found.get(one.key_id)
                one.used = False
                one.revoked = row is None or row.revoke_time is not None
                one.checked_at = began
            if stores_use:
                self._use_stored_at = began
                self._store_use(conn)

    def _store_use(self, conn: Connection) -> None:
        with self._lock:
            in_use = [one for one in self._known.values() if one.use_unstored and one.key_id]
        for one in in_use:
            one.use_unstored = False
        if in_use:
            key_store.note_used(conn, ids=[one.key_id for one in in_use])

    def _refresh_jwts(self, identities: set[Identity]) -> None:
        try:
            if self._jwt_keys is None or not self._jwt_keys.reload():
                return
        except ConfigurationError as error:
            log.warning("the keys of tokens stay as they were", error=str(error))
            return
        for one in identities:
            one.revoked = one.revoked or not one.key_id
        with self._lock:
            for hashed in [hashed for hashed, one in self._known.items() if not one.key_id]:
                del self._known[hashed]

    def _run(self) -> None:
        while not self._closed.wait(REFRESH_SECONDS):
            try:
                self._now.refresh()
                self.refresh()
            except Exception as error:
                if not self._failing:
                    log.warning("keys not looked at", error=error)
                self._failing = True
            else:
                self._failing = False

    def close(self) -> None:
        """Stop the thread."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

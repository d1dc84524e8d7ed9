"""JWTs as credentials: signed elsewhere, checked here with a key from a file.

One algorithm is pinned by the settings, whatever a token says of itself. Issuer and audience have to match,
and ``exp`` and ``sub`` to be there. The claims ``project`` and ``role`` are those of an API key, as are
``session`` and ``sprint``, of which one may be there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import structlog

from orchestration_server.config.settings import ConfigurationError
from orchestration_server.errors import Unauthenticated
from orchestration_server.model import ALL_PROJECTS, Principal, Role

log = structlog.get_logger()

ALGORITHMS = ("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
SECRET_BYTES = 32
"""The least that a shared secret has to have."""
ROLES = {role.name.lower(): role for role in Role}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SUBJECT = re.compile(r"[ -~]{1,128}")


class BearerError(ConfigurationError):
    """The settings of JWTs, or their key file, are not usable; for people."""


class Verified(NamedTuple):
    """Who a token says that calls, and until when, in seconds of the Unix time."""

    principal: Principal
    expires: float


@dataclass(frozen=True)
class Bearer:
    """Checks tokens. Each of ``keys`` has its ``kid``, which is empty if it has none, and may occur twice."""

    keys: Sequence[tuple[str, Any]]
    algorithm: str
    issuer: str
    audience: str
    leeway: float

    def verify(self, token: str) -> Verified:
        """Return who calls. Raises Unauthenticated if the token is not good."""
        try:
            claims = self._claims(token)
            expires = float(claims["exp"]) + self.leeway
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired: get a new one", reason="TOKEN_EXPIRED") from None
        except Exception as error:
            # A token can have any number, depth or type, and the library raises what Python does. Its name
            # says nothing of the token.
            raise Unauthenticated(f"the token is not good here ({type(error).__name__})") from None
        return Verified(_principal(claims), expires)

    def _claims(self, token: str) -> dict[str, Any]:
        """The claims of a token that one of its keys has signed: those of its ``kid``, and those without."""
        name = jwt.get_unverified_header(token).get("kid", "")
        failure: Exception = jwt.InvalidKeyError("no key of this name")
        for kid, key in self.keys:
            if kid and kid != name:
                continue
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[self.algorithm],
                    issuer=self.issuer,
                    audience=self.audience,
                    leeway=self.leeway,
                    options={"require": ["exp", "iss", "aud", "sub"]},
                )
            except jwt.InvalidSignatureError as error:
                failure = error
        raise failure


def _principal(claims: Mapping[str, Any]) -> Principal:
    project, role = claims.get("project"), ROLES.get(str(claims.get("role")))
    held = {name: claims.get(name, "") for name in ("session", "sprint")}
    well = (
        role is not None
        and isinstance(project, str)
        and (project == ALL_PROJECTS or (_NAME.fullmatch(project) and len(project) <= 64))
        and all(isinstance(one, str) and (not one or _NAME.fullmatch(one)) for one in held.values())
        and not (held["session"] and held["sprint"])
        and isinstance(claims["sub"], str)
        and _SUBJECT.fullmatch(claims["sub"])
    )
    if not well or role is None:
        raise Unauthenticated(
            "the token lacks a claim that is well-formed: sub, project, role, and at most one of session and"
            " sprint",
            reason="CLAIMS_INVALID",
        )
    # Under "jwt:" no subject can count as another caller's key.
    return Principal(f"jwt:{claims['sub']}", str(project), role, held["session"], held["sprint"])


class Source:
    """The file of what tokens are checked with: a secret for HS*, else a public key as PEM, or a JWKS.

    BearerError where the file or what goes with it is not usable.
    """

    def __init__(self, file: Path, *, algorithm: str, issuer: str, audience: str, leeway: float) -> None:
        if algorithm not in ALGORITHMS:
            raise BearerError(f"jwt_algorithm is one of {', '.join(ALGORITHMS)}")
        if not (issuer and audience):
            raise BearerError("jwt_key_file takes jwt_issuer and jwt_audience beside it")
        self._file = file
        self._with = (algorithm, issuer, audience, leeway)
        self._seen = self._mark()
        self.bearer = self._load()

    def changed(self) -> bool:
        """Reads the file again where it is another. BearerError where that is not usable: all stays then."""
        mark = self._mark()
        if mark == self._seen:
            return False
        self._seen = mark
        self.bearer = self._load()
        return True

    def _mark(self) -> tuple[int, int]:
        try:
            state = self._file.stat()
        except OSError as error:
            raise BearerError(f"cannot read jwt_key_file {self._file}: {error.strerror}") from None
        return state.st_mtime_ns, state.st_ino

    def _load(self) -> Bearer:
        algorithm = self._with[0]
        try:
            keys = _keys(self._file.read_bytes(), algorithm)
        except OSError as error:
            raise BearerError(f"cannot read jwt_key_file {self._file}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError, jwt.PyJWTError) as error:
            raise BearerError(
                f"jwt_key_file {self._file} has no key for {algorithm} ({type(error).__name__})"
            ) from None
        if not keys:
            raise BearerError(f"jwt_key_file {self._file} has no key for {algorithm}")
        return Bearer(keys, *self._with)


def _keys(written: bytes, algorithm: str) -> list[tuple[str, Any]]:
    if algorithm.startswith("HS"):
        secret = written.strip()
        if len(secret) < SECRET_BYTES:
            raise BearerError(f"a shared secret has at least {SECRET_BYTES} bytes")
        return [("", jwt.get_algorithm_by_name(algorithm).prepare_key(secret))]
    if not written.lstrip().startswith(b"{"):
        return [("", jwt.get_algorithm_by_name(algorithm).prepare_key(written))]
    return [key for given in json.loads(written)["keys"] for key in _member(given, algorithm)]


def _member(given: Any, algorithm: str) -> Iterator[tuple[str, Any]]:
    """The key of one member of a set; none if it is for another use, or not usable (RFC 7517, section 5)."""
    try:
        kid = given.get("kid", "")
        if given.get("use", "sig") != "sig" or given.get("alg", algorithm) != algorithm or "d" in given:
            return
        if not isinstance(kid, str):
            raise TypeError("kid")
        yield kid, jwt.get_algorithm_by_name(algorithm).from_jwk(given)
    except Exception as error:
        log.warning("jwks member left out", error=type(error).__name__)

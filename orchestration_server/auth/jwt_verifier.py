"""JWTs as credentials: signed by another system, verified here with keys from a file.

The settings pin one algorithm, whatever a JWT says of itself. Issuer and audience have to match, and the
claims ``exp`` and ``sub`` are required. The claims ``project`` and ``role`` mean what they mean for an API
key, as do ``session`` and ``sprint``, of which at most one may be given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import structlog

from orchestration_server import names
from orchestration_server.config.settings import ConfigurationError
from orchestration_server.errors import Unauthenticated
from orchestration_server.model import ALL_PROJECTS, Principal, Role

log = structlog.get_logger()

ALGORITHMS = ("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
MIN_SECRET_BYTES = 32
ROLES = {role.name.lower(): role for role in Role}


class JwtConfigurationError(ConfigurationError):
    """An error in the settings of JWTs or in their key file."""


class Verified(NamedTuple):
    """The caller that a JWT names, and the Unix time until which it is valid."""

    principal: Principal
    expires: float


@dataclass(frozen=True)
class JwtVerifier:
    """A verifier of JWTs.

    Each item of ``keys`` is a ``kid`` and its key; a ``kid`` may be empty or occur twice.
    """

    keys: Sequence[tuple[str, Any]]
    algorithm: str
    issuer: str
    audience: str
    leeway: float

    def verify(self, token: str) -> Verified:
        """Return the caller of a JWT. Raises Unauthenticated if the JWT is not valid."""
        try:
            claims = self._claims(token)
            expires = float(claims["exp"]) + self.leeway
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired: get a new one", reason="TOKEN_EXPIRED") from None
        except Exception as error:
            # A claim can have any type, size or depth, so PyJWT may raise any of Python's errors. The name of
            # the error discloses nothing of the JWT.
            raise Unauthenticated(f"the token is not good here ({type(error).__name__})") from None
        return Verified(_principal(claims), expires)

    def _claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a JWT. Tries the keys that have its ``kid`` and those that have none."""
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
    scope = {name: claims.get(name, "") for name in ("session", "sprint")}
    well_formed = (
        role is not None
        and isinstance(project, str)
        and (project == ALL_PROJECTS or names.PROJECT.fullmatch(project))
        and all(isinstance(one, str) and (not one or names.CODE.fullmatch(one)) for one in scope.values())
        and not (scope["session"] and scope["sprint"])
        and isinstance(claims["sub"], str)
        and names.LABEL.fullmatch(claims["sub"])
    )
    if not well_formed or role is None:
        raise Unauthenticated(
            "the token needs well-formed claims: sub, project, role, and at most one of session and sprint",
            reason="CLAIMS_INVALID",
        )
    # The prefix keeps a subject from being counted as the id of an API key.
    return Principal(f"jwt:{claims['sub']}", str(project), role, scope["session"], scope["sprint"])


class JwtKeyFile:
    """The file with the keys that verify JWTs: a secret for HS*, else a public key as PEM, or a JWKS."""

    def __init__(self, file: Path, *, algorithm: str, issuer: str, audience: str, leeway: float) -> None:
        """Read the file. Raises JwtConfigurationError if it or the settings beside it are not usable."""
        if algorithm not in ALGORITHMS:
            raise JwtConfigurationError(f"jwt_algorithm is one of {', '.join(ALGORITHMS)}")
        if not (issuer and audience):
            raise JwtConfigurationError("jwt_key_file requires jwt_issuer and jwt_audience beside it")
        self._file = file
        self._settings = (algorithm, issuer, audience, leeway)
        self._version = self._read_version()
        self.verifier = self._load()

    def reload(self) -> bool:
        """Read the file again if it was replaced, and return whether it was.

        Raises JwtConfigurationError if the new file is not usable. The keys stay as they were then.
        """
        version = self._read_version()
        if version == self._version:
            return False
        self._version = version
        self.verifier = self._load()
        return True

    def _read_version(self) -> tuple[int, int]:
        try:
            state = self._file.stat()
        except OSError as error:
            raise JwtConfigurationError(f"cannot read jwt_key_file {self._file}: {error.strerror}") from None
        return state.st_mtime_ns, state.st_ino

    def _load(self) -> JwtVerifier:
        algorithm = self._settings[0]
        try:
            keys = _keys(self._file.read_bytes(), algorithm)
        except OSError as error:
            raise JwtConfigurationError(f"cannot read jwt_key_file {self._file}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError, jwt.PyJWTError) as error:
            raise JwtConfigurationError(
                f"jwt_key_file {self._file} has no key for {algorithm} ({type(error).__name__})"
            ) from None
        if not keys:
            raise JwtConfigurationError(f"jwt_key_file {self._file} has no key for {algorithm}")
        return JwtVerifier(keys, *self._settings)


def _keys(content: bytes, algorithm: str) -> list[tuple[str, Any]]:
    if algorithm.startswith("HS"):
        secret = content.strip()
        if len(secret) < MIN_SECRET_BYTES:
            raise JwtConfigurationError(f"a shared secret has at least {MIN_SECRET_BYTES} bytes")
        return [("", jwt.get_algorithm_by_name(algorithm).prepare_key(secret))]
    if not content.lstrip().startswith(b"{"):
        return [("", jwt.get_algorithm_by_name(algorithm).prepare_key(content))]
    return [key for member in json.loads(content)["keys"] for key in _member(member, algorithm)]


# jwt.PyJWKSet cannot replace this. It chooses the algorithm by the key's type instead of the settings, which
# rejects Ed448 and confuses RS256 with PS256, and one member whose "alg" is no text makes the whole set fail.
def _member(member: Any, algorithm: str) -> Iterator[tuple[str, Any]]:
    """Yield the key of one member of a set, if it is usable for signatures (RFC 7517, section 5)."""
    try:
        kid = member.get("kid", "")
        if member.get("use", "sig") != "sig" or member.get("alg", algorithm) != algorithm or "d" in member:
            return
        if not isinstance(kid, str):
            raise TypeError("kid")
        yield kid, jwt.get_algorithm_by_name(algorithm).from_jwk(member)
    except Exception as error:
        log.warning("jwks member left out", error=type(error).__name__)

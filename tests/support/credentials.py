"""Keys and tokens for tests, good and bad."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from orchestration_server.auth.api_keys import digest, new_key
from orchestration_server.db.connection import Connection
from orchestration_server.errors import Unavailable
from orchestration_server.model import Role
from orchestration_server.store import keys as key_store
from tests.support.rpc_errors import Metadata

ISSUER = "https://id.example"
AUDIENCE = "ledger"


def make_key(database_url: str, *, role: Role = Role.AGENT, project: str = "default", **fields: Any) -> str:
    """Make a key in the ledger; ``fields`` are columns of its row."""
    key_id, key = new_key()
    row = key_store.KeyRow(
        key_id,
        digest(key),
        f"test {key_id}",
        project,
        role,
        "",
        "",
        None,
        None,
        datetime.now(UTC),
        None,
        None,
        None,
    )
    with Connection.connect(database_url, autocommit=True) as conn:
        assert key_store.insert(conn, row._replace(**fields))
    return key


def revoke(database_url: str, key: str) -> None:
    with Connection.connect(database_url, autocommit=True) as conn:
        assert key_store.revoke(conn, key_id=key.split("_")[1])


def bearer(key: str, *more: tuple[str, str]) -> Metadata:
    """Return the metadata of a call with a key or a token."""
    return (("authorization", f"Bearer {key}"), *more)


def calling_with(channel: grpc.Channel, key: str) -> grpc.Channel:
    """Return the channel with the key added to each unary call."""
    return grpc.intercept_channel(channel, _Bearing(key))


class _Bearing(grpc.UnaryUnaryClientInterceptor):
    def __init__(self, key: str) -> None:
        self._key = key

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(client_call_details._replace(metadata=bearer(self._key)), request)


class Reads:
    """A counter of the reads of keys, which can also make them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.away = 0, False
        get = key_store.get

        def counted(*given: Any, **named: Any) -> Any:
            self.count += 1
            if self.away:
                raise Unavailable
            return get(*given, **named)

        monkeypatch.setattr(key_store, "get", counted)


class Issuer:
    """An issuer of tokens, valid and invalid ones."""

    def __init__(self) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public = self._private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def publish(self, directory: Path) -> Path:
        """Write the public key as PEM."""
        file = directory / "issuer.pem"
        file.write_bytes(self.public)
        return file

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return valid claims; None leaves a claim out."""
        good = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "someone",
            "exp": datetime.now(UTC) + timedelta(minutes=5),
            "project": "default",
            "role": "agent",
        }
        return {name: value for name, value in (good | changed).items() if value is not None}

    def token(self, headers: dict[str, Any] | None = None, **changed: Any) -> str:
        return jwt.encode(self.claims(**changed), self._private, algorithm="RS256", headers=headers)

    def unsigned(self) -> str:
        """Return a token with the algorithm `none`."""
        return jwt.encode(self.claims(), "", algorithm="none")

    def confused(self) -> str:
        """Return a token signed with the public key as a shared secret."""
        header = _part({"alg": "HS256", "typ": "JWT"})
        claims = self.claims()
        body = f"{header}.{_part(claims | {'exp': int(claims['exp'].timestamp())})}"
        mac = hmac.new(self.public, body.encode(), hashlib.sha256).digest()
        return f"{body}.{_encoded(mac)}"

    def altered(self) -> str:
        """Return a valid token whose role was changed after it was signed."""
        header, _, signature = self.token().split(".")
        claims = self.claims(role="admin")
        return f"{header}.{_part(claims | {'exp': int(claims['exp'].timestamp())})}.{signature}"


def _part(content: dict[str, Any]) -> str:
    return _encoded(json.dumps(content).encode())


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

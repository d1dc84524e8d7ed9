"""The file of keys that verify JWTs."""

import json
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from orchestration_server.auth.jwt_verifier import JwtConfigurationError, JwtKeyFile, JwtVerifier
from orchestration_server.errors import Unauthenticated
from orchestration_server.model import Role
from tests.support.credentials import AUDIENCE, ISSUER, Issuer


def key_file(file: Path, algorithm: str) -> JwtKeyFile:
    return JwtKeyFile(file, algorithm=algorithm, issuer=ISSUER, audience=AUDIENCE, leeway=30)


def claims(**more: Any) -> dict[str, Any]:
    end = datetime.now(UTC) + timedelta(minutes=5)
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "me", "exp": end, "project": "p", "role": "reader"} | more


def pem(key: Any) -> bytes:
    found: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return found


KEYS: dict[str, Any] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_public_key_verifies_only_tokens_of_its_algorithm(tmp_path: Path, algorithm: str) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(pem(KEYS[algorithm]))
    verifier = key_file(file, algorithm).verifier
    found = verifier.verify(jwt.encode(claims(session="k"), KEYS[algorithm], algorithm=algorithm))
    assert (found.principal.id, found.principal.project, found.principal.role) == ("jwt:me", "p", Role.READER)
    assert found.principal.session_key == "k"
    assert 300 < found.expires - datetime.now(UTC).timestamp() <= 330
    other = next(name for name in KEYS if name != algorithm)
    with pytest.raises(Unauthenticated):
        verifier.verify(jwt.encode(claims(), KEYS[other], algorithm=other))


def test_a_shared_secret_verifies_tokens(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    secret = secrets.token_urlsafe(32)
    file.write_text(secret + "\n")
    verifier = key_file(file, "HS256").verifier
    assert verifier.verify(jwt.encode(claims(), secret, algorithm="HS256")).principal.role is Role.READER
    with pytest.raises(Unauthenticated):
        verifier.verify(jwt.encode(claims(), secret + secret, algorithm="HS512"))


def test_a_key_of_a_set_is_selected_by_kid(tmp_path: Path) -> None:
    one, two = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    listed = [
        json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(key.public_key())) | {"kid": kid, "use": use}
        for key, kid, use in ((one, "1", "sig"), (two, "2", "sig"), (two, "3", "enc"))
    ]
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": listed}))
    verifier = key_file(file, "ES256").verifier
    verifier.verify(jwt.encode(claims(), two, algorithm="ES256", headers={"kid": "2"}))
    for kid in ("1", "3", "none", ""):
        with pytest.raises(Unauthenticated):
            verifier.verify(jwt.encode(claims(), two, algorithm="ES256", headers={"kid": kid}))
    with pytest.raises(Unauthenticated):
        verifier.verify(jwt.encode(claims(), two, algorithm="ES256"))


def test_a_key_in_the_header_of_a_token_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(pem(KEYS["ES256"]))
    own = ec.generate_private_key(ec.SECP256R1())
    brought = json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(own.public_key()))
    token = jwt.encode(claims(), own, algorithm="ES256", headers={"jwk": brought, "jku": "https://x.example"})
    with pytest.raises(Unauthenticated):
        key_file(file, "ES256").verifier.verify(token)


@pytest.mark.parametrize(
    ("content", "algorithm", "said"),
    [
        (b"short", "HS256", "at least 32 bytes"),
        (b"", "ES256", "no key for ES256"),
        (b"not a key", "RS256", "no key for RS256"),
        (b'{"keys": []}', "EdDSA", "no key for EdDSA"),
        (b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', "EdDSA", "no key for EdDSA"),
        (pem(KEYS["ES256"]), "EdDSA", "no key for EdDSA"),
        (pem(KEYS["ES256"]), "none", "jwt_algorithm is one of"),
        (pem(KEYS["ES256"]), "", "jwt_algorithm is one of"),
        (pem(KEYS["ES256"]), "HS256", "no key for HS256"),
    ],
)
def test_a_file_without_a_key_of_the_algorithm_is_refused(
    tmp_path: Path, content: bytes, algorithm: str, said: str
) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(JwtConfigurationError, match=said):
        key_file(file, algorithm)


@pytest.mark.parametrize("listed", [["text"], [None], [{"kty": "EC"}], 1, {"kty": "EC"}])
def test_an_invalid_set_of_keys_is_refused(tmp_path: Path, listed: object) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": listed}))
    with pytest.raises(JwtConfigurationError, match="no key for ES256"):
        key_file(file, "ES256")


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(key.public_key()))
    return found | more


def verifier_of(tmp_path: Path, *members: object) -> JwtVerifier:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": members}))
    return key_file(file, "ES256").verifier


UNUSABLE = [
    "text",
    None,
    ["kid"],
    {"kty": "EC"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA"},
    {"kty": "OKP", "crv": "X25519", "x": "AA"},
    {"kty": "of tomorrow", "kid": "k"},
    {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "k"},
    {"kty": "oct", "k": "c2VjcmV0"},
    {"kty": "EC", "alg": ["ES256"], "crv": "P-256", "x": "AA", "y": "AA"},
]


@pytest.mark.parametrize("unusable", UNUSABLE, ids=str)
def test_an_unusable_member_is_ignored(tmp_path: Path, unusable: object) -> None:
    key = KEYS["ES256"]
    for members in ([unusable, jwk(key, kid="k")], [jwk(key, kid="k"), unusable]):
        verifier = verifier_of(tmp_path, *members)
        verifier.verify(jwt.encode(claims(), key, algorithm="ES256", headers={"kid": "k"}))


def test_a_member_whose_kid_is_no_text_is_ignored(tmp_path: Path) -> None:
    with pytest.raises(JwtConfigurationError, match="no key for ES256"):
        verifier_of(tmp_path, jwk(KEYS["ES256"], kid=["k"]))


def test_the_settings_choose_the_algorithm_of_a_key(tmp_path: Path) -> None:
    """jwt.PyJWKSet chooses it by the key's type, so it fails all three cases."""
    file = tmp_path / "jwks.json"
    edwards = ed448.Ed448PrivateKey.generate()
    member = jwt.get_algorithm_by_name("EdDSA").to_jwk(edwards.public_key())
    file.write_text(f'{{"keys": [{member}]}}')
    key_file(file, "EdDSA").verifier.verify(jwt.encode(claims(), edwards, algorithm="EdDSA"))

    key = rsa.generate_private_key(65537, 2048)
    public = json.loads(jwt.get_algorithm_by_name("PS256").to_jwk(key.public_key()))
    file.write_text(json.dumps({"keys": [public]}))
    key_file(file, "PS256").verifier.verify(jwt.encode(claims(), key, algorithm="PS256"))
    file.write_text(json.dumps({"keys": [public | {"alg": "RS256"}]}))
    with pytest.raises(JwtConfigurationError, match="no key for PS256"):
        key_file(file, "PS256")


def test_every_key_without_a_kid_is_tried(tmp_path: Path) -> None:
    one, two, named, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(4))
    verifier = verifier_of(tmp_path, jwk(one), jwk(named, kid="k"), jwk(two), jwk(other, kid="k"))
    for key in (one, two):
        for headers in ({}, {"kid": "k"}, {"kid": "another"}):
            verifier.verify(jwt.encode(claims(), key, algorithm="ES256", headers=headers))
    # Two keys may have one kid while one replaces the other.
    for key in (named, other):
        verifier.verify(jwt.encode(claims(), key, algorithm="ES256", headers={"kid": "k"}))
        with pytest.raises(Unauthenticated):
            verifier.verify(jwt.encode(claims(), key, algorithm="ES256", headers={"kid": "another"}))
    late = claims(exp=datetime.now(UTC) - timedelta(hours=1))
    with pytest.raises(Unauthenticated) as expired:
        verifier.verify(jwt.encode(late, two, algorithm="ES256"))
    assert expired.value.reason == "TOKEN_EXPIRED"


def test_a_replaced_file_is_read_and_a_broken_one_is_ignored(tmp_path: Path) -> None:
    first, second = Issuer(), Issuer()
    file = first.publish(tmp_path)
    keys = key_file(file, "RS256")
    assert not keys.reload()
    written = tmp_path / "new"
    written.write_bytes(second.public)
    written.replace(file)
    assert keys.reload()
    keys.verifier.verify(second.token())
    with pytest.raises(Unauthenticated):
        keys.verifier.verify(first.token())
    file.write_bytes(b"broken")
    os.utime(file, ns=(1, 1))
    with pytest.raises(JwtConfigurationError):
        keys.reload()
    keys.verifier.verify(second.token())
    assert not keys.reload()

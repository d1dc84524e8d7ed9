"""The form of an API key, and the digest that the server stores of it.

A key is ``orch_<id>_<secret>``. Lists and logs show the id; the secret is 256 random bits. The server stores
the SHA-256 of the whole key. A slow hash protects passwords that people choose. Nobody can guess 256 random
bits, and a fast hash costs a call one microsecond.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256

KEY = re.compile(r"orch_([0-9a-f]{12})_[0-9a-f]{64}")
MAX_CREDENTIAL_CHARS = 4_096
"""Longer credentials are refused unread."""
_ID_BYTES = 6
_SECRET_BYTES = 32


def new_key() -> tuple[str, str]:
    """Return the id of a new key, and the key."""
    key_id = secrets.token_hex(_ID_BYTES)
    return key_id, f"orch_{key_id}_{secrets.token_hex(_SECRET_BYTES)}"


def digest(credential: str) -> bytes:
    """Return the digest under which a key or a JWT is stored and looked up."""
    return sha256(credential.encode()).digest()

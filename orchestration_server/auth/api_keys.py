"""How an API key is made, and what is kept of it.

A key is ``orch_<id>_<secret>``: the id stands in lists and logs, the secret is 256 random bits. Kept is the
SHA-256 of the whole. A slow hash is for what people choose; nobody guesses 256 bits, and a fast one costs a
call a microsecond.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256

KEY = re.compile(r"orch_([0-9a-f]{12})_[0-9a-f]{64}")
LONGEST = 4_096
"""Characters of a credential that is looked at."""
_ID_BYTES = 6
_SECRET_BYTES = 32


def new_key() -> tuple[str, str]:
    """A new key's id, and the key."""
    key_id = secrets.token_hex(_ID_BYTES)
    return key_id, f"orch_{key_id}_{secrets.token_hex(_SECRET_BYTES)}"


def digest(credential: str) -> bytes:
    """What stands for a key or a token where it is kept or looked up."""
    return sha256(credential.encode()).digest()

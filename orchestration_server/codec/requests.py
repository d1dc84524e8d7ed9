"""The identity of a mutation, by which the server recognizes a retry."""

from __future__ import annotations

from hashlib import blake2b

from google.protobuf.message import Message

from orchestration_server.model import Call, Request


def request_key(call: Call, message: Message) -> Request:
    """Return the ``request_id`` of a message with a fingerprint of its body.

    The fingerprint depends on the session or sprint that the caller's key is scoped to, so that a key never
    gets a response that was made for a key with another scope.
    """
    request_id: str = getattr(message, "request_id", "")
    if not request_id:
        return Request(call.rpc, "", b"")
    body = message.SerializeToString(deterministic=True)
    scope = b""
    if call.principal is not None and call.principal.scoped:
        names = f"{call.principal.session_key}\0{call.principal.sprint_code}"
        scope = blake2b(names.encode(), digest_size=16).digest()
    return Request(call.rpc, request_id, blake2b(body, digest_size=16, key=scope).digest())

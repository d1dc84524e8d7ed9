"""Digests of a context's sections. By them the next call leaves out the sections that have not changed.

They travel in the context's cursor: first the digest of its target, then one for each section.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from orchestration.v1 import context_pb2
from orchestration_server.context.sections import SECTIONS

_DIGEST = 3
"""Bytes of a digest. One in sixteen million changes goes unnoticed."""
_NO_DIGEST = bytes(_DIGEST)
_EVENTS_DIGEST = b"\xff" * _DIGEST
"""The digest of the events section. The cursor's position says which events were shown."""
_EVENTS = context_pb2.CONTEXT_SECTION_EVENTS
_TASKS = context_pb2.CONTEXT_SECTION_TASKS


def of_target(scope: Sequence[object]) -> bytes:
    """Return the digest of a context's target."""
    return _digest(repr(scope).encode())


def split(digests: bytes) -> tuple[bytes, bytes]:
    """Return the digest of the target and those of the sections; both empty if their number is wrong.

    The number differs if the cursor is of a release whose contexts had other sections.
    """
    if len(digests) != _DIGEST * (1 + len(SECTIONS)):
        return b"", b""
    return digests[:_DIGEST], digests[_DIGEST:]


def lack_events(digests: bytes) -> bool:
    """Return whether the context of these sections' digests omitted events."""
    return bool(digests) and _of_section(digests, _EVENTS) == _NO_DIGEST


def merge_changed(
    context: context_pb2.Context,
    parts: Mapping[context_pb2.ContextSection.ValueType, context_pb2.Context],
    known: bytes,
    *,
    tasks_version: str,
) -> bytes:
    """Merge the sections whose digests are not in ``known`` into a context, and name the others in it.

    Return the digests of all sections. The tasks of a sprint go by their version, because only a page of them
    is in the context. Events are merged by the caller.
    """
    digests = []
    for section in SECTIONS:
        part = parts.get(section)
        if part is None or section == _EVENTS:
            digests.append(_NO_DIGEST if part is None else _EVENTS_DIGEST)
            continue
        state = part.SerializeToString(deterministic=True)
        digest = _digest(tasks_version.encode() if section == _TASKS else state)
        digests.append(digest)
        if digest != _of_section(known, section):
            context.MergeFrom(part)
        elif state:
            context.unchanged.append(section)
    return b"".join(digests)


def _of_section(digests: bytes, section: int) -> bytes:
    return digests[(section - 1) * _DIGEST : section * _DIGEST]


def _digest(state: bytes) -> bytes:
    return blake2b(state, digest_size=_DIGEST).digest()

"""Messages to one client without waiting for it: the one module that knows grpcio's insides.

grpcio gives a handler that holds no thread a callback to send with, which despite its name waits until the
transport took the message: it costs two switches of threads a message, and a thread for each client that
does not read. This starts the same batch as ``grpc._server._send_response`` and returns at once.

Written against grpcio 1.85.1, which pyproject.toml and requirements/ pin exactly. Other insides show in
tests/rpc/test_sending.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

# The first is written in C; the second's own annotations are not all right.
from grpc._cython import cygrpc  # type: ignore[attr-defined]
from grpc._server import (
    _SEND_INITIAL_METADATA_AND_SEND_MESSAGE_TOKEN,
    _SEND_MESSAGE_TOKEN,
    _get_initial_metadata_operation,
    _is_rpc_state_active,
    _possibly_finish_call,
)

NO_FLAGS = 0


class Outlet:
    """The way to the client of one call."""

    __slots__ = ("_call", "_done", "_state", "_token")

    def __init__(self, context: grpc.ServicerContext) -> None:
        inside: Any = context
        self._call = inside._rpc_event.call  # noqa: SLF001  # there is no other way to the call
        self._state = inside._state  # noqa: SLF001
        self._token = ""
        self._done: Callable[[], None] | None = None

    def send(self, body: bytes, done: Callable[[], None]) -> bool:
        """Starts to send a message; False where the call has ended.

        ``done`` is called on grpc's serving thread once the transport took the message, or gave it up
        with the call: it must not block. Until then nothing else may be sent.
        """
        state = self._state
        with state.condition:
            if not _is_rpc_state_active(state):
                return False
            operations: tuple[Any, ...] = (cygrpc.SendMessageOperation(body, NO_FLAGS),)
            self._token = _SEND_MESSAGE_TOKEN
            if state.initial_metadata_allowed:
                operations = (_get_initial_metadata_operation(state, None), *operations)
                state.initial_metadata_allowed = False
                self._token = _SEND_INITIAL_METADATA_AND_SEND_MESSAGE_TOKEN
            self._done = done
            self._call.start_server_batch(operations, self._sent)
            state.due.add(self._token)
        return True

    def _sent(self, _event: object) -> Any:
        """What grpc's serving thread runs at the end of the batch; its answer says whether the call ended."""
        state, done = self._state, self._done
        with state.condition:
            # As long as its token is due, the call's state is kept.
            ended = _possibly_finish_call(state, self._token)
        if done is not None:
            self._done = None
            done()
        return ended

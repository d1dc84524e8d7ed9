"""Messages to a client without waiting for it. Like rpc/executor.py this uses private parts of grpcio.

grpcio gives a non-blocking handler a callback to send with. In spite of its name the callback waits until
the transport has taken the message: that costs two thread switches a message, and a thread for each client
that does not read. StreamWriter starts the same batch as ``grpc._server._send_response`` and returns.

pyproject.toml pins grpcio. If another release changes those private parts,
tests/unit/test_library_internals.py names what changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

# cygrpc is a C extension without stubs, and some annotations of grpc._server are wrong.
from grpc._cython import cygrpc  # type: ignore[attr-defined]
from grpc._server import (
    _SEND_INITIAL_METADATA_AND_SEND_MESSAGE_TOKEN,
    _SEND_MESSAGE_TOKEN,
    _get_initial_metadata_operation,
    _is_rpc_state_active,
    _possibly_finish_call,
)

NO_FLAGS = 0


class StreamWriter:
    """The writer of one call's messages.

    The caller sends one message at a time, and ends the call after the last was taken. So a batch can be
    started after ``condition`` is released. Otherwise grpc's serving thread, which learns of the end before
    the start returns, would wait for the lock at every third message, which takes 8% more CPU.
    """

    __slots__ = ("_call", "_on_taken", "_state", "_token")

    def __init__(self, context: grpc.ServicerContext) -> None:
        inside: Any = context
        self._call = inside._rpc_event.call  # noqa: SLF001  # grpc has no public way to the call
        self._state = inside._state  # noqa: SLF001
        self._token = ""
        self._on_taken: Callable[[], None] | None = None

    def send(self, body: bytes, on_taken: Callable[[], None]) -> bool:
        """Start to send a message. Return False if the call has ended.

        grpc's serving thread calls ``on_taken`` once the transport has taken the message, or has dropped it
        because the call ended. The callback must neither block nor raise.
        """
        state = self._state
        operations: tuple[Any, ...] = (cygrpc.SendMessageOperation(body, NO_FLAGS),)
        with state.condition:
            if not _is_rpc_state_active(state):
                return False
            token = _SEND_MESSAGE_TOKEN
            if state.initial_metadata_allowed:
                operations = (_get_initial_metadata_operation(state, None), *operations)
                state.initial_metadata_allowed = False
                token = _SEND_INITIAL_METADATA_AND_SEND_MESSAGE_TOKEN
            # While a token is due, grpc keeps the call, and the server does not stop.
            state.due.add(token)
        self._token, self._on_taken = token, on_taken
        error = self._call.start_server_batch(operations, self._on_sent)
        if error:
            with state.condition:
                state.due.remove(token)
            raise RuntimeError(f"grpc did not start a batch: error {error}")
        return True

    def _on_sent(self, _event: object) -> Any:
        """Handle the end of the batch on grpc's serving thread. Return whether the call has ended."""
        state, on_taken = self._state, self._on_taken
        self._on_taken = None
        with state.condition:
            ended = _possibly_finish_call(state, self._token)
        if on_taken is not None:
            on_taken()
        return ended

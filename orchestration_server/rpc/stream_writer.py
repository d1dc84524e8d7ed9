"""Messages to one client without waiting for it. Like rpc/executor.py this knows grpcio's insides.

grpcio gives a handler that holds no thread a callback to send with, which despite its name waits until the
transport took the message: it costs two switches of threads a message, and a thread for each client that
does not read. This starts the same batch as ``grpc._server._send_response`` and returns at once.

Which release it was written against stands below; pyproject.toml and requirements/ pin it exactly. Other
insides show in tests/rpc/test_stream_writer.py.
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

GRPCIO = "1.85.1"
NO_FLAGS = 0


class Outlet:
    """The way to the client of one call.

    One message at a time, and the status after the last was taken: whoever uses this keeps to that, so a
    batch can be started when ``condition`` is released. With it held, grpc's serving thread, which is told
    of the end before the start returns, would stop to wait for it at every third message: 8% more CPU.
    """

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
        with the call; it must neither block nor raise.
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
            # As long as a token is due the call is kept, and the server does not end.
            state.due.add(token)
        self._token, self._done = token, done
        error = self._call.start_server_batch(operations, self._sent)
        if error:
            with state.condition:
                state.due.remove(token)
            raise RuntimeError(f"grpc did not start a batch: error {error}")
        return True

    def _sent(self, _event: object) -> Any:
        """What grpc's serving thread runs at the end of the batch; the answer says whether the call ended."""
        state, done = self._state, self._done
        self._done = None
        with state.condition:
            ended = _possibly_finish_call(state, self._token)
        if done is not None:
            done()
        return ended

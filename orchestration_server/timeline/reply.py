"""The way back to the client of a subscription, as the transport gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestration_server.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Reply:
    """The way back to one client. No method waits for the client.

    Attributes:
        send: Start to send a message. Return False if the call has ended. The transport calls the given
            callable on its own thread once it has taken the message; nothing else may be sent before.
        finish: End the call, with an error or as OK, after what was sent.
        cancel: End the call at once.
    """

    send: Callable[[bytes, Callable[[], None]], bool]
    finish: Callable[[LedgerError | None], None]
    cancel: Callable[[], object]

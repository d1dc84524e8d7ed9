"""One change of the ledger, as an object that reads and then decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from orchestration_server.db.database import Connection
from orchestration_server.model import Call, Request
from orchestration_server.store.prepared import Extra, Prepared
from orchestration_server.store.writes import Change

Lock = tuple[str, str]
"""The kind and the code of an entity of the call's project."""


@dataclass
class Write(ABC, Generic[Extra]):
    """A change that the write gate carries out.

    If another writer is first, the gate prepares and decides again. So both methods may run several times,
    and only the last decision is written.
    """

    call: Call
    request: Request

    @property
    @abstractmethod
    def locks(self) -> Sequence[Lock]:
        """Return the locks of the entities that the write changes."""

    @property
    def lock_first(self) -> bool:
        """Return whether the gate takes the locks before the first read.

        A write needs this if its decision depends on rows that it does not change.
        """
        return False

    @abstractmethod
    def prepare(self, conn: Connection) -> Prepared[Extra]:
        """Read all that the decision depends on, in one statement."""

    @abstractmethod
    def decide(self, conn: Connection, found: Prepared[Extra]) -> Change:
        """Return the change. Raises an error of the ledger if the write is not allowed."""

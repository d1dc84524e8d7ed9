"""The implementation of EventService.ReplayEvents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestration.v1 import event_pb2
from orchestration_server.codec.cursors import CursorSigner
from orchestration_server.db.database import Database
from orchestration_server.errors import NotFound
from orchestration_server.history.chain_check import ChainCheck, ChainEvent, Evidence, cause_of
from orchestration_server.model import BEGINNING, Call, Cursor, Entity, PendingChange, Position, cursor_of
from orchestration_server.store import events as event_store
from orchestration_server.store import history as history_store
from orchestration_server.store import pending_changes
from orchestration_server.writes import coalesced as steps

CHAIN_PAGE = 1_000
CHAIN_EVENTS = 10_000
BETWEEN_EVENTS = 10_000
END = Position(2**31 - 1, 2**63 - 1, 2**63 - 1)
"""A position after the whole log, for pending changes."""


@dataclass(slots=True)
class _CheckedLog:
    """The part of the log that the check of a chain has read."""

    first: Cursor = field(default_factory=lambda: Cursor(BEGINNING))
    last: Position = BEGINNING
    unseen: set[int] = field(default_factory=set)
    """Ids of transactions that were open when the log was read, and may still add events to this part."""


class Replay:
    """The check of correlation chains."""

    def __init__(self, db: Database, cursors: CursorSigner) -> None:
        self._db = db
        self._cursors = cursors

    def replay(self, request: event_pb2.ReplayEventsRequest, call: Call) -> event_pb2.ReplayEventsResponse:
        """Check a correlation chain. Raises NotFound if it has no events."""
        chain, log = ChainCheck(), _CheckedLog()
        # Pending changes are read before the log. One that is logged meanwhile is in both, and dropped below.
        with self._db.connection(call) as conn:
            pending = pending_changes.list_by_correlation(
                conn, project=call.project, correlation_id=request.correlation_id, limit=CHAIN_EVENTS
            )
        unread = self._check_log(request.correlation_id, call, chain, log)
        if not (chain.full or unread):
            self._check_pending(pending, call, chain)
        if not chain.checked:
            raise NotFound("correlation", request.correlation_id)
        truncated = chain.truncated or unread
        types = sorted(chain.types.items(), key=lambda item: (-item[1], item[0]))
        logged = log.last != BEGINNING
        return event_pb2.ReplayEventsResponse(
            events=chain.checked,
            findings=chain.findings,
            consistent=not (chain.findings or truncated),
            truncated=truncated,
            first_cursor=self._cursors.cursor(log.first) if logged else "",
            last_cursor=self._cursors.cursor(cursor_of(log.last, sorted(log.unseen))) if logged else "",
            types=[event_pb2.EventCount(key=key, count=count) for key, count in types],
            entities=len(chain.entities),
        )

    def _check_log(self, correlation_id: str, call: Call, chain: ChainCheck, log: _CheckedLog) -> bool:
        """Check the chain's events in the log, page by page. Return whether some were not read."""
        more = unread = True
        while more and chain.checked < CHAIN_EVENTS:
            with self._db.connection(call) as conn:
                page = history_store.chain(
                    conn, project=call.project, correlation_id=correlation_id, after=log.last,
                    limit=min(CHAIN_PAGE, CHAIN_EVENTS - chain.checked),
                )  # fmt: skip
            unread = page.more
            events = [
                ChainEvent(row.position, step)
                for row in page.rows
                for step in steps.expand(event_pb2.Event.FromString(row.body))
            ]
            if not events:
                break
            if log.last == BEGINNING:
                log.first = page.rows[0].cursor
            # Each page has its own database snapshot: events of its open transactions are still to come.
            newest = page.rows[-1]
            reached = log.last.xid if log.last.epoch == newest.position.epoch else 0
            log.unseen.update(xid for xid in newest.open or () if reached <= xid < newest.position.xid)
            before = chain.checked
            more = chain.check(events, self._evidence(call, chain, events)) and page.more
            log.last = events[chain.checked - before - 1].position
        return unread

    def _check_pending(
        self, pending: Mapping[Entity, Sequence[PendingChange]], call: Call, chain: ChainCheck
    ) -> None:
        """Check the pending changes of the chain that the log does not have."""
        events = [
            ChainEvent(END, event)
            for changes in pending.values()
            for event in (event_pb2.Event.FromString(change.body) for change in changes)
            if event.entity_revision > chain.revision(event.entity_type, event.entity_code)
        ]
        chain.check(events, self._evidence(call, chain, events))

    def _evidence(self, call: Call, chain: ChainCheck, events: Sequence[ChainEvent]) -> Evidence:
        """Read the facts that the check of a page needs, with at most one statement for each kind."""
        gaps = chain.gaps(events)
        new = {(e.entity_type, e.entity_code) for _, e in events if e.entity_type} - chain.entities
        causes = {cause for _, event in events if (cause := cause_of(event))}
        with self._db.connection(call) as conn:
            unknown = history_store.missing_entities(conn, project=call.project, entities=sorted(new))
            missing = causes - history_store.known_event_ids(conn, project=call.project, ids=sorted(causes))
            between = history_store.list_spans(
                conn,
                project=call.project,
                spans=[history_store.EventSpan(*gap) for gap in gaps],
                limit=BETWEEN_EVENTS,
            )
            edge = event_store.ArchiveEdge(BEGINNING, 0, None)
            if gaps or missing:
                # The edge is read last, so that events deleted meanwhile do not count as missing.
                edge = event_store.edge(conn, project=call.project, deleted=True)
        return Evidence(
            between={
                gap: [step for body in bodies for step in steps.expand(event_pb2.Event.FromString(body))]
                for gap, bodies in zip(gaps, between, strict=True)
                if bodies is not None
            },
            unknown=frozenset(unknown),
            missing=frozenset(missing),
            deleted=edge.position,
            deleted_before=edge.upto,
        )

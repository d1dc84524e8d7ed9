"""Old events move to the archive, where queries find them that ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import admin_pb2, common_pb2, event_pb2
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from tests import factories
from tests.archiving import OldLog, month
from tests.conftest import Server
from tests.ledger import Ledger
from tests.status import refused

BACK = (7, 6, 5)


class Old(OldLog):
    """A server whose log has three old months of 20 events each, one in five of them of P0, and 10 of now."""

    def __init__(self, server: Server, channel: grpc.Channel) -> None:
        super().__init__(server.database_url)
        self.ledger = Ledger(channel)
        self.events = self.ledger.events
        self.admin = AdminServiceStub(channel)
        self.months = [month(back) for back in BACK]
        for back in BACK:
            self.add_month(back)
        self.ids: list[str] = []
        times: list[datetime] = []
        for start in self.months:
            for n in range(20):
                self.ids.append(self._emit(n).id)
                times.append(start + timedelta(days=1.3 * n, seconds=1))
        self.new = [self._emit(n).id for n in range(10)]
        self.age(self.ids, times)
        self.all = self.ids + self.new
        self.kept = {self.ids[at] for at in range(0, 60, 5)}
        self.counted()

    def _emit(self, n: int) -> event_pb2.Event:
        priority = common_pb2.PRIORITY_P0 if n % 5 == 0 else common_pb2.PRIORITY_P3
        return self.ledger.emit("t", priority=priority, dedup_key=f"k-{len(self.ids)}-{n}")

    def archive(self, cutoff: datetime | None = None, **fields: bool) -> admin_pb2.ArchiveEventsResponse:
        request = admin_pb2.ArchiveEventsRequest(**fields)
        if cutoff is None:
            request.older_than.CopyFrom(Duration(seconds=90 * 86_400))
        else:
            request.cutoff.FromDatetime(cutoff)
        return self.admin.ArchiveEvents(request, timeout=30)

    def history(self, **fields: object) -> list[event_pb2.Event]:
        request = event_pb2.StreamTimelineRequest(batch_size=7, **fields)  # type: ignore[arg-type]  # any field
        return [e for m in self.events.StreamTimeline(request, timeout=10) for e in m.events.events]


@pytest.fixture
def old(server: Server, channel: grpc.Channel) -> Iterator[Old]:
    made = Old(server, channel)
    yield made
    made.close()


def ids(events: object) -> list[str]:
    return [event.id for event in events]  # type: ignore[attr-defined]  # of events


def test_whole_months_move_as_partitions_and_what_is_kept_stays(old: Old) -> None:
    tables = old.tables("events_rest")
    answer = old.archive()
    assert [(p.events, p.whole) for p in answer.parts] == [(16, True)] * 3
    assert all(p.bytes > 0 for p in answer.parts)
    assert not answer.more
    assert not answer.held
    live, archived = old.places()
    assert archived == set(old.ids) - old.kept
    assert live == old.kept | set(old.new)
    assert old.tables("archived_events") <= tables, "no row was copied: the tables are those that they were"
    assert old.archive().parts == []

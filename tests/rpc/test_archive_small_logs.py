"""Archived events of an entity and of a quiet log are read like live ones."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import admin_pb2, common_pb2, event_pb2
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from tests.conftest import Server
from tests.support.archive import OldLog, month
from tests.support.ledger import Ledger
from tests.support.old_ledger import BACK


def test_an_archived_quiet_log_is_caught_up_at_its_end(server: Server, channel: grpc.Channel) -> None:
    with closing(OldLog(server.database_url)) as log:
        ledger = Ledger(channel)
        log.add_month(BACK[0])
        one = ledger.emit()
        log.age([one.id], [month(BACK[0]) + timedelta(days=1)])
        log.counted()
        request = admin_pb2.ArchiveEventsRequest(older_than=Duration(seconds=90 * 86_400))
        assert len(AdminServiceStub(channel).ArchiveEvents(request).parts) == 1
        stream = ledger.events.StreamTimeline(event_pb2.StreamTimelineRequest(follow=True), timeout=10)
        cursor = next(m.caught_up.cursor for m in stream if m.WhichOneof("message") == "caught_up")
        two = ledger.emit()
        stream.cancel()
        again = event_pb2.StreamTimelineRequest(after_cursor=cursor)
        assert [e.id for m in ledger.events.StreamTimeline(again) for e in m.events.events] == [two.id]


def test_an_entity_is_rebuilt_from_the_archive(server: Server, channel: grpc.Channel) -> None:
    with closing(OldLog(server.database_url)) as log:
        ledger = Ledger(channel)
        log.add_month(BACK[0])
        ledger.task("a", title="first")
        for n in range(5):
            ledger.retitle("a", f"title {n}")
        about = event_pb2.GetEntityHistoryRequest(entity_type=common_pb2.ENTITY_TYPE_TASK, entity_code="a")
        whole = ledger.events.GetEntityHistory(about)
        ids = [change.event_id for change in reversed(whole.changes)]
        log.age(ids[:4], [month(BACK[0]) + timedelta(days=n) for n in range(4)])
        log.counted()
        whole = ledger.events.GetEntityHistory(about)
        correlation = whole.changes[-2].correlation_id
        request = admin_pb2.ArchiveEventsRequest(older_than=Duration(seconds=90 * 86_400))
        AdminServiceStub(channel).ArchiveEvents(request)
        assert log.places()[1] == set(ids[:4])
        assert len(ledger.events.GetEntityHistory(about).changes) == 2
        about.include_archived = True
        assert ledger.events.GetEntityHistory(about) == whole
        for revision, title in enumerate(["first", *(f"title {n}" for n in range(5))], 1):
            asked = event_pb2.ReconstructStateRequest(
                entity_type=common_pb2.ENTITY_TYPE_TASK, entity_code="a", revision=revision, verify=True
            )
            answer = ledger.events.ReconstructState(asked)
            assert (answer.task.title, answer.verification.equal) == (title, True)
        at = Timestamp()
        at.FromDatetime(month(BACK[0]) + timedelta(days=2))
        for as_of in ({"time": at}, {"cursor": whole.changes[-3].cursor}):
            asked = event_pb2.ReconstructStateRequest(
                entity_type=common_pb2.ENTITY_TYPE_TASK, entity_code="a", **as_of
            )
            assert ledger.events.ReconstructState(asked).task.title == "title 1"
        checked = ledger.events.ReplayEvents(
            event_pb2.ReplayEventsRequest(correlation_id=correlation, dry_run=True)
        )
        assert (checked.events, checked.consistent) == (1, True)

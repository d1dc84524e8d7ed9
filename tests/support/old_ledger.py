"""A ledger with three old months of events, some of which an archiver may move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from psycopg.conninfo import conninfo_to_dict

from orchestration.v1 import admin_pb2, common_pb2, event_pb2
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from orchestration_server.config.settings import Settings
from orchestration_server.db.database import Database
from orchestration_server.embedded.engines import Engines
from orchestration_server.jobs import retention as jobs
from orchestration_server.jobs.runner import Service
from tests.conftest import new_database, open_channel, running
from tests.support.archive import OldLog, month
from tests.support.ledger import Ledger

BACK = (7, 6, 5)


def ids(events: Iterable[event_pb2.Event]) -> list[str]:
    return [event.id for event in events]


class Old(OldLog):
    """A server whose log has three old months of 20 events, every fifth of them P0, and 10 recent events."""

    def __init__(self, database_url: str, channel: grpc.Channel) -> None:
        super().__init__(database_url)
        self.database_url = database_url
        self.db = Database(database_url, size=1).start()
        self.ledger = Ledger(channel)
        self.events = self.ledger.events
        self.admin = AdminServiceStub(channel)
        self.months = [month(back) for back in BACK]
        self.ids: list[str] = []
        self.new: list[str] = []

    @property
    def all(self) -> list[str]:
        return self.ids + self.new

    @property
    def kept(self) -> set[str]:
        return {self.ids[at] for at in range(0, 60, 5)}

    def write(self) -> None:
        """Write the events."""
        for back in BACK:
            self.add_month(back)
        times: list[datetime] = []
        for start in self.months:
            for n in range(20):
                self.ids.append(self.emit(n).id)
                times.append(start + timedelta(days=1.3 * n, seconds=1))
        self.new = [self.emit(n).id for n in range(10)]
        self.age(self.ids, times)
        self.counted()

    def emit(self, n: int) -> event_pb2.Event:
        priority = common_pb2.PRIORITY_P0 if n % 5 == 0 else common_pb2.PRIORITY_P3
        return self.ledger.emit("t", priority=priority, dedup_key=f"k-{len(self.ids)}-{n}")

    def archive(
        self, cutoff: datetime | None = None, *, exact: bool = False, dry_run: bool = False
    ) -> admin_pb2.ArchiveEventsResponse:
        request = admin_pb2.ArchiveEventsRequest(exact=exact, dry_run=dry_run)
        if cutoff is None:
            request.older_than.CopyFrom(Duration(seconds=90 * 86_400))
        else:
            request.cutoff.FromDatetime(cutoff)
        return self.admin.ArchiveEvents(request, timeout=30)

    def history(self, **fields: Any) -> list[event_pb2.Event]:
        request = event_pb2.StreamTimelineRequest(batch_size=7, **fields)
        return [e for m in self.events.StreamTimeline(request, timeout=10) for e in m.events.events]

    def listed(self, chosen: event_pb2.EventFilter | None, newest: bool, *, archived: bool) -> list[str]:
        """Return the events of a list that is read with pages of one event."""
        request = event_pb2.ListEventsRequest(
            filter=chosen,
            page_size=9,
            include_archived=archived,
            order=event_pb2.EVENT_ORDER_NEWEST_FIRST if newest else event_pb2.EVENT_ORDER_OLDEST_FIRST,
        )
        found: list[str] = []
        while True:
            answer = self.events.ListEvents(request)
            found += ids(answer.events)
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token

    @contextmanager
    def retention(self, **settings: int) -> Iterator[Sequence[Service]]:
        yield jobs.services(self.db, Settings(**settings))  # type: ignore[arg-type]  # numbers of days

    @staticmethod
    def stamp(time: datetime) -> Timestamp:
        found = Timestamp()
        found.FromDatetime(time)
        return found

    def close(self) -> None:
        self.db.close()
        super().close()


@dataclass(frozen=True)
class Written:
    """A database with the events of `Old`, which tests copy."""

    database: str
    ids: list[str]
    new: list[str]

    @contextmanager
    def opened(self, database_url: str, channel: grpc.Channel) -> Iterator[Old]:
        """Open a copy that a server of this channel serves."""
        with closing(Old(database_url, channel)) as found:
            found.ids += self.ids
            found.new += self.new
            yield found


@contextmanager
def written(engines: Engines) -> Iterator[Written]:
    """Write the events in a database, once for the tests of a module."""
    with new_database(engines) as url:
        with (
            running(engines, url, connections=4) as address,
            open_channel(address) as channel,
            closing(Old(url, channel)) as made,
        ):
            made.write()
        yield Written(str(conninfo_to_dict(url)["dbname"]), made.ids, made.new)

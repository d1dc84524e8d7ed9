"""Old events, as a log has them that was written for months."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from orchestration.v1 import event_pb2
from orchestration_server.db import partitions

PROJECT = "default"


def month(back: int) -> datetime:
    """The start of the month so many months ago, in UTC."""
    now = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(back):
        now = (now - timedelta(days=1)).replace(day=1)
    return now


class OldLog:
    """Makes months of the log that are over, and tells where each event is."""

    def __init__(self, database_url: str) -> None:
        self.conn: psycopg.Connection[Any] = psycopg.connect(database_url, autocommit=True)
        self.conn.execute("set timezone to 'UTC'")

    def add_month(self, back: int, *, checked: bool = True) -> str:
        """Makes the partition of a month that is over: as this release does, or as one before it did."""
        start = month(back)
        name = f"events_rest_{start:%Y_%m}"
        following = (start + timedelta(days=32)).replace(day=1)
        partitions.add(self.conn, name, start, following)
        if not checked:
            self.conn.execute(
                sql.SQL("alter table {} drop constraint archived_not_kept, drop constraint {}").format(
                    sql.Identifier(name), sql.Identifier(partitions.bounds_name(start))
                )
            )
        return name

    def age(self, event_ids: Sequence[str], times: Sequence[datetime]) -> None:
        """Has events be recorded at other times, and at places in the log that agree with those."""
        bodies = dict(
            self.conn.execute(
                "select event_id::text, body from events where event_id = any(%s::uuid[])", (list(event_ids),)
            )
        )
        aged = []
        for event_id, time in zip(event_ids, times, strict=True):
            event = event_pb2.Event.FromString(bodies[event_id])
            event.emit_time.FromDatetime(time)
            event.occur_time.FromDatetime(time)
            aged.append(event.SerializeToString())
        self.conn.execute(
            """
            with aged as (
                select id, time, body, row_number() over (order by time, n) as place
                from unnest(%(ids)s::uuid[], %(times)s::timestamptz[], %(bodies)s::bytea[])
                    with ordinality as w (id, time, body, n)
            )
            update events e set emit_time = a.time, occur_time = a.time, body = a.body,
                xid = (a.place + 2)::text::xid8, seq = a.place
            from aged a where e.event_id = a.id
            """,
            {"ids": list(event_ids), "times": list(times), "bodies": aged},
        )

    def fill(self, back: int, events: int, *, project: str = PROJECT) -> None:
        """Adds events that were recorded through a month, before all that is there of this epoch."""
        start = month(back)
        self.conn.execute(
            """
            insert into events (kept, epoch, xid, project, event_id, type, entity_type, entity_code,
                sprint_code, priority, correlation_id, session_key, actor, occur_time, emit_time, body)
            select mod(n, 10) = 0, 1, (%(first)s + n / 7)::text::xid8, %(project)s, gen_random_uuid(),
                'old.one', 2, 'task-' || n / 50, 'sprint-' || n / 300,
                case when mod(n, 10) = 0 then 1 else 3 end, 'correlation-' || n / 50,
                'session-' || n / 50, '', time, time, ''
            from (select n, %(start)s + n * (interval '28 days' / %(events)s) as time
                from generate_series(0, %(events)s - 1) n) made
            """,
            {"start": start, "events": events, "first": 3 + (12 - back) * 20, "project": project},
        )

    def places(self) -> tuple[set[str], set[str]]:
        """The ids of the events that are live and of those that are archived. Each is in one place once."""
        rows = self.conn.execute(
            "select event_id::text, false from events"
            " union all select event_id::text, true from archived_events"
        ).fetchall()
        assert len({event_id for event_id, _ in rows}) == len(rows), "an event is there twice"
        archived = {event_id for event_id, moved in rows if moved}
        return {event_id for event_id, _ in rows} - archived, archived

    def tables(self, parent: str) -> set[int]:
        """The files that the partitions of a parent stand in."""
        return {
            row[0]
            for row in self.conn.execute(
                "select relfilenode from pg_class c join pg_inherits i on i.inhrelid = c.oid"
                " where i.inhparent = %s::regclass",
                (parent,),
            )
        }

    def counted(self) -> None:
        """Has the rollups and the rules be done with all there is."""
        self.conn.execute(
            "insert into log_positions (reader, project, epoch, xid, seq)"
            " select r, e.project, e.epoch, e.xid, e.seq from unnest(array['rollups', 'automation']) r,"
            " (select distinct on (project) * from events order by project, epoch desc, xid desc, seq desc) e"
            " on conflict (reader, project) do update"
            " set epoch = excluded.epoch, xid = excluded.xid, seq = excluded.seq"
        )
        # The rollups name every type up to their place; how many of each they count is left open here.
        self.conn.execute(
            "insert into event_rollups (project, dimension, hour, key, count)"
            " select distinct project, 1, date_trunc('hour', occur_time, 'UTC'), type, 0 from events"
            " on conflict do nothing"
        )

    def close(self) -> None:
        self.conn.close()

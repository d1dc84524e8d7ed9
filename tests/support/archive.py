"""Old events, as in a log that has been written for months."""

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
    """Return the start of the month that lies ``back`` months ago, in UTC."""
    now = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(back):
        now = (now - timedelta(days=1)).replace(day=1)
    return now


class OldLog:
    """A log with months that are over, and the place of each event."""

    def __init__(self, database_url: str) -> None:
        self.conn: psycopg.Connection[Any] = psycopg.connect(database_url, autocommit=True)
        self.conn.execute("set timezone to 'UTC'")

    def add_month(self, back: int, *, checked: bool = True) -> str:
        """Make the partition of a past month, as this release does or as an earlier one did."""
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
        """Give events other times of recording, and positions in the log that agree with them."""
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
        """Add events that were recorded in the course of a month, before all others of this epoch."""
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
        """Return the ids of the live and of the archived events. Each event is in one of them, once."""
        rows = self.conn.execute(
            "select event_id::text, false from events"
            " union all select event_id::text, true from archived_events"
        ).fetchall()
        assert len({event_id for event_id, _ in rows}) == len(rows), "an event is there twice"
        archived = {event_id for event_id, moved in rows if moved}
        return {event_id for event_id, _ in rows} - archived, archived

    def tables(self, parent: str) -> set[int]:
        """Return the files of the partitions of a parent."""
        return {
            row[0]
            for row in self.conn.execute(
                "select relfilenode from pg_class c join pg_inherits i on i.inhrelid = c.oid"
                " where i.inhparent = %s::regclass",
                (parent,),
            )
        }

    def counted(self) -> None:
        """Let the rollups and the rules have read the whole log."""
        self.conn.execute(
            "insert into log_positions (reader, project, epoch, xid, seq)"
            " select r, e.project, e.epoch, e.xid, e.seq from unnest(array['rollups', 'automation']) r,"
            " (select distinct on (project) * from events order by project, epoch desc, xid desc, seq desc) e"
            " on conflict (reader, project) do update"
            " set epoch = excluded.epoch, xid = excluded.xid, seq = excluded.seq"
        )
        # The rollups have every type up to their position; the counts do not matter here.
        self.conn.execute(
            "insert into event_rollups (project, dimension, hour, key, count)"
            " select distinct project, 1, date_trunc('hour', occur_time, 'UTC'), type, 0 from events"
            " on conflict do nothing"
        )

    def close(self) -> None:
        self.conn.close()

"""EventService: the event log and its timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from google.protobuf.duration_pb2 import Duration

from orchestration.v1 import event_pb2
from orchestration_server.cache.read_through import Cache, Loaded
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.codec.timestamps import to_datetime, to_timestamp
from orchestration_server.codec.wire import PAGE_TOKEN_FIELD, RESULT_FIELD, embed, embed_all
from orchestration_server.db.database import Connection, Database
from orchestration_server.errors import (
    InvalidArgument,
    NotFound,
    OutOfBounds,
)
from orchestration_server.model import BEGINNING, ENTITY_NAMES, Call, Cursor, EventFilter, Scope
from orchestration_server.rules.emission import Policies
from orchestration_server.services.emit_streams import EmitStreams
from orchestration_server.services.history import History, known
from orchestration_server.services.replay import Replay
from orchestration_server.store import event_counts, event_lists, log_times
from orchestration_server.store import events as event_store
from orchestration_server.store import rollups as rollup_store
from orchestration_server.store.database_clock import DatabaseClock
from orchestration_server.timeline.hub import Hub
from orchestration_server.timeline.reply import Reply
from orchestration_server.timeline.subscription import (
    PAGE_FIRST,
    DisconnectHook,
    Subscription,
    TimelineRequest,
)
from orchestration_server.validation.events import STATS_SECONDS
from orchestration_server.validation.occur_time import check_occur_times
from orchestration_server.writes.drafts import EmitRequest
from orchestration_server.writes.group_commit import GroupCommit

STATS_DAYS = 7
_DUPLICATE = event_pb2.EmitEventResponse(duplicate=True).SerializeToString()
_GROUPS: Mapping[int, str] = {
    event_pb2.EVENT_GROUPING_UNSPECIFIED: "type",
    event_pb2.EVENT_GROUPING_HOUR: "hour",
    event_pb2.EVENT_GROUPING_DAY: "day",
    event_pb2.EVENT_GROUPING_WEEK: "week",
    event_pb2.EVENT_GROUPING_TYPE: "type",
    event_pb2.EVENT_GROUPING_ENTITY: "entity",
    event_pb2.EVENT_GROUPING_ACTOR: "actor",
}


class EventService:
    """The rpcs of EventService."""

    def __init__(
        self,
        db: Database,
        commits: GroupCommit,
        hub: Hub,
        cursors: CursorSigner,
        cache: Cache,
        policies: Policies,
        clock: DatabaseClock,
    ) -> None:
        self._clock = clock
        self._cache = cache
        self._db = db
        self._commits = commits
        self._hub = hub
        self._history = History(db, cursors)
        self._replay = Replay(db, cursors)
        self._policies = policies
        self._cursors = cursors
        self._emit_streams = EmitStreams(commits, policies, clock)

    def stop(self) -> None:
        """End the EmitEvents streams, each after the answers to the messages it has read."""
        self._emit_streams.stop()

    def EmitEvent(self, request: event_pb2.EmitEventRequest, call: Call) -> bytes:
        check_occur_times(request, self._clock.now())
        emission = EmitRequest.from_message(call, request, [request.event], self._policies)
        emitted = self._commits.emit(emission, call)
        if emitted.sampled_out:
            return event_pb2.EmitEventResponse(sampled_out=True).SerializeToString()
        if emitted.accepted:
            return embed(RESULT_FIELD, emission.drafts[0].body)
        body = self._with_cursor(call, emitted.ids[0], archived=True)
        if emitted.duplicates and call.scope is not None:
            _check_visible(call.scope, body or b"")
        if body is None:
            # A dedup_key stays taken even if its event was deleted.
            body = event_pb2.Event(id=emitted.ids[0], dedup_key=request.event.dedup_key).SerializeToString()
        return embed(RESULT_FIELD, body) + (_DUPLICATE if emitted.duplicates else b"")

    def _with_cursor(self, call: Call, event_id: str, *, archived: bool) -> bytes | None:
        with self._db.connection(call) as conn:
            found = event_store.get(conn, project=call.project, event_id=event_id, archived=archived)
        return None if found is None else self._cursors.event_bytes(found)

    def EmitEvents(self, requests: Iterator[Any], call: Call) -> Iterator[event_pb2.EmitEventsResponse]:
        return self._emit_streams.answers(requests, call)

    def GetEvent(self, request: event_pb2.GetEventRequest, call: Call) -> bytes:
        body = self._with_cursor(call, request.event_id, archived=request.include_archived)
        if body is None:
            raise NotFound("event", request.event_id)
        return embed(RESULT_FIELD, body)

    def ListEvents(self, request: event_pb2.ListEventsRequest, call: Call) -> bytes:
        event_filter = _filter(request.filter)
        start = to_datetime(request.start_time) if request.HasField("start_time") else None
        end = to_datetime(request.end_time) if request.HasField("end_time") else None
        newest = request.order != event_pb2.EVENT_ORDER_OLDEST_FIRST
        archived = request.include_archived
        scope = ["events", call.project, repr(event_filter), str(start), str(end), newest, archived]
        position = self._cursors.page_position(request.page_token, scope)
        with self._db.connection(call) as conn:
            page = event_lists.page(
                conn, project=call.project, event_filter=event_filter, start=start, end=end,
                newest_first=newest, limit=page_size(request.page_size), archived=archived,
                after=None if position is None else self._listed_after(position),
            )  # fmt: skip
        body = embed_all(RESULT_FIELD, [self._cursors.event_bytes(row) for row, _ in page.events])
        if page.more:
            last, occurred = page.events[-1]
            view = self._cursors.cursor(page.view)
            token = self._cursors.page_token(scope, [occurred.isoformat(), last.position.seq, view])
            body += embed(PAGE_TOKEN_FIELD, token.encode())
        return body

    def _listed_after(self, position: list[Any]) -> event_lists.EventListPosition:
        """Return the position that a page starts after, and the view of the list's first page."""
        view = self._cursors.read_cursor(position[2], "page_token") if len(position) > 2 else None
        return event_lists.EventListPosition(datetime.fromisoformat(position[0]), position[1], view)

    def GetEventStats(self, request: event_pb2.GetEventStatsRequest, call: Call) -> bytes:
        began = monotonic()
        with self._db.connection(call) as conn:
            version = event_counts.version(conn, project=call.project)
            now = event_store.now(conn)
        start, end = _stats_range(request, now)
        group, limit = _GROUPS[request.group_by], request.limit or 100

        def load() -> Loaded:
            with self._db.connection(call) as conn:
                rows = None
                if not request.sprint_code:
                    rows = rollup_store.stats(
                        conn, project=call.project, group=group, start=start, end=end, limit=limit
                    )
                if rows is None:
                    rows = event_counts.stats(
                        conn, project=call.project, group=group, start=start, end=end,
                        sprint=request.sprint_code, limit=limit,
                    )  # fmt: skip
                same = event_counts.version(conn, project=call.project) == version
            answer = event_pb2.GetEventStatsResponse(
                counts=[_count(group, key, count) for key, count, _ in rows],
                total=rows[0][2] if rows else 0,
                start_time=to_timestamp(start),
                end_time=to_timestamp(end),
            ).SerializeToString()
            return Loaded(answer, key if same else None)

        key = [call.project, group, start, end, request.sprint_code, limit, version]
        body, cached = self._cache.get_or_load("stats", key, load, timeout=call.seconds_left())
        if cached:
            return body
        elapsed = Duration()
        elapsed.FromMicroseconds(int((monotonic() - began) * 1e6))
        return body + embed(event_pb2.GetEventStatsResponse.ELAPSED_FIELD_NUMBER, elapsed.SerializeToString())

    def StreamTimeline(
        self,
        request: event_pb2.StreamTimelineRequest,
        call: Call,
        reply: Reply,
    ) -> None:
        latest = request.last if request.last <= PAGE_FIRST else 0
        disconnect = DisconnectHook()
        timeline_request = TimelineRequest(
            project=call.project,
            filter=_filter(request.filter),
            follow=request.follow,
            batch=request.batch_size or 500,
            start=None if latest else self._start(request, call),
            latest=latest,
            call=call._replace(on_end=disconnect.set),
            archived=request.include_archived,
            resumed=request.HasField("after_cursor"),
        )
        subscription = Subscription(timeline_request, reply)

        def left() -> None:
            disconnect.end()
            self._hub.leave(subscription)

        if call.on_end is None or call.on_end(left):
            self._hub.open(subscription)

    def _start(
        self, request: event_pb2.StreamTimelineRequest, call: Call
    ) -> Callable[[Connection], Cursor] | None:
        """Return a function that finds the cursor to start after; the stream calls it when it may read."""
        start = request.WhichOneof("start")
        if start is None:
            return None
        archived = request.include_archived
        if start == "last":
            event_filter, last = _filter(request.filter), request.last
            return lambda conn: Cursor(
                event_store.before_last(
                    conn, project=call.project, last=last, event_filter=event_filter, archived=archived
                )
                or BEGINNING
            )
        if start == "from_time":
            time = to_datetime(request.from_time)
            return lambda conn: Cursor(
                log_times.before(conn, project=call.project, time=time), from_time=time
            )
        cursor = self._cursors.read_cursor(request.after_cursor, "after_cursor")
        return lambda conn: known(conn, call.project, cursor, "after_cursor")

    def GetEntityHistory(
        self, request: event_pb2.GetEntityHistoryRequest, call: Call
    ) -> event_pb2.GetEntityHistoryResponse:
        return self._history.changes(request, call)

    def ReconstructState(
        self, request: event_pb2.ReconstructStateRequest, call: Call
    ) -> event_pb2.ReconstructStateResponse:
        return self._history.reconstruct(request, call)

    def ReplayEvents(
        self, request: event_pb2.ReplayEventsRequest, call: Call
    ) -> event_pb2.ReplayEventsResponse:
        return self._replay.replay(request, call)


def _check_visible(scope: Scope, body: bytes) -> None:
    """Raise OutOfBounds if the event that was first with a dedup_key is outside the scope."""
    event = event_pb2.Event.FromString(body)
    if not scope.may_see(event.sprint_code, event.session_key, event.entity_type, event.entity_code):
        raise OutOfBounds("the event with this dedup_key is not in the scope of the key")


def _stats_range(request: event_pb2.GetEventStatsRequest, now: datetime) -> tuple[datetime, datetime]:
    """Return the time range of statistics, by default the last STATS_DAYS days.

    The default end is that of the current minute, so that the cache serves all calls of a minute.
    """
    if request.HasField("end_time"):
        end = to_datetime(request.end_time)
    else:
        end = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    if not request.HasField("start_time"):
        return end - timedelta(days=STATS_DAYS), end
    start = to_datetime(request.start_time)
    if not request.HasField("end_time"):
        _must_be_past(start, now)
    return start, end


def _must_be_past(start: datetime, now: datetime) -> None:
    """Raise InvalidArgument if a range up to now does not start in the last 366 days."""
    if start > now:
        raise InvalidArgument({"start_time": "must be in the past"})
    if start < now - timedelta(seconds=STATS_SECONDS):
        raise InvalidArgument({"start_time": "must be at most 366 days before now"})


def _filter(given: event_pb2.EventFilter) -> EventFilter:
    return EventFilter(
        sprint_code=given.sprint_code,
        task_code=given.task_code,
        session_key=given.session_key,
        correlation_id=given.correlation_id,
        types=list(given.types),
        priorities=list(given.priorities),
    )


def _count(group: str, key: Any, count: int) -> event_pb2.EventCount:
    if isinstance(key, datetime):
        return event_pb2.EventCount(start_time=to_timestamp(key), count=count)
    if group == "entity":
        kind, _, code = str(key).partition("/")
        key = f"{ENTITY_NAMES[int(kind)]}/{code}"
    return event_pb2.EventCount(key=key, count=count)

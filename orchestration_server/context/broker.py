"""The context broker assembles what an agent needs to know to start, in one call.

The cache has a context under the version of all its parts, which one statement reads. If the cache has no
such context, a second statement reads the rest in one snapshot. docs/context.md lists the parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from hashlib import blake2b
from threading import Lock
from typing import Any, NamedTuple

from orchestration.v1 import common_pb2, context_pb2, event_pb2, sprint_pb2, task_pb2
from orchestration_server.cache.read_through import Cache, Loaded
from orchestration_server.codec.content import task_summary
from orchestration_server.codec.cursors import CursorSigner, page_size
from orchestration_server.codec.events import change_event
from orchestration_server.codec.timestamps import EPOCH_START, to_datetime
from orchestration_server.codec.wire import embed_all
from orchestration_server.context import background, digests, layout
from orchestration_server.context import tokenizer as tokenizers
from orchestration_server.context.compact_json import size, to_json
from orchestration_server.context.events import ContextSubject, shortened
from orchestration_server.context.layout import Fitted, Layout
from orchestration_server.context.markdown.document import MarkdownLayout
from orchestration_server.context.sections import context_file, make_sections
from orchestration_server.context.token_budget import JsonLayout, SizedEvent
from orchestration_server.db.database import Database
from orchestration_server.errors import CursorForeign, InvalidArgument, NotFound
from orchestration_server.model import (
    BEGINNING,
    ENTITY_NAMES,
    FIRST,
    Call,
    Cursor,
    EntityType,
    EventRow,
    Position,
    StoredEvent,
)
from orchestration_server.store import context as context_store
from orchestration_server.store import events as event_store
from orchestration_server.store.context_version import ContextVersion
from orchestration_server.workspace.reader import FileState, WorkspaceFiles
from orchestration_server.workspace.tree import sprint_directory, task_directory

EVENTS_DEFAULT = 100
SIZES = 50_000
"""Most events that are kept in memory as contexts show them."""
LISTINGS = 3
"""Times that files are listed again if some changed before they were read."""
_VERSION = 16
"""Decimal digits of a version. The number of digits is fixed, so that each version has one estimate."""
_EVENTS = context_pb2.CONTEXT_SECTION_EVENTS
_FILES = context_pb2.CONTEXT_SECTION_FILES
_TASKS = context_pb2.CONTEXT_SECTION_TASKS
_EVENTS_FIELD = context_pb2.Context.EVENTS_FIELD_NUMBER


class Target(NamedTuple):
    """The subject of a context: the code of a task or a sprint, or the key of a session."""

    kind: EntityType
    code: str


class Assembled(NamedTuple):
    """A serialized Context."""

    body: bytes
    from_cache: bool
    event: EventRow | None = None
    """The event that it was assembled, for the caller to log; None if it came from the cache."""


@dataclass(frozen=True, slots=True)
class _ContextRequest:
    """One call's request for a context."""

    call: Call
    target: Target
    options: context_pb2.ContextOptions
    since: Cursor
    digests: bytes
    """The digests of the sections that the caller already has; empty if they are not known."""
    page: context_store.TaskPageRequest
    files: list[FileState]
    tokenizer: str

    @property
    def events(self) -> int:
        """Return the most events that the context may show."""
        return 0 if _EVENTS in self.options.omit_sections else self.options.max_events or EVENTS_DEFAULT

    def key(self, version: ContextVersion) -> list[object]:
        """Return the key of the context in the cache: all that it depends on."""
        options = context_pb2.ContextOptions()
        options.CopyFrom(self.options)
        options.omit_sections.sort()
        return [
            self.call.project, self.target.kind, self.target.code, version.numbers, version.texts,
            options.SerializeToString(deterministic=True).hex(), self.files, self.tokenizer,
        ]  # fmt: skip


class _Composed(NamedTuple):
    """A context that was assembled, and the event that logs it."""

    body: bytes
    event: EventRow
    whole: bool
    """True if all listed files could be read."""


def _versioned(fitted: Fitted) -> tuple[bytes, str]:
    """Return a context's bytes without its version, and the version, which is a digest of these bytes."""
    context = context_pb2.Context()
    context.CopyFrom(fitted.context)
    context.ClearField("version")
    body = context.SerializeToString(deterministic=True) + embed_all(_EVENTS_FIELD, fitted.events)
    number = int.from_bytes(blake2b(body, digest_size=8).digest()) % 10**_VERSION
    return body, f"{number:0{_VERSION}}"


class Broker:
    """The assembler of contexts.

    ``files`` are the workspace's. ``tokenizer`` is the ``module:function`` that counts tokens; by default the
    server estimates them.
    """

    def __init__(
        self, db: Database, cursors: CursorSigner, cache: Cache, files: WorkspaceFiles, *, tokenizer: str = ""
    ) -> None:
        self._tokenizer = tokenizer
        self._count = tokenizers.load_tokenizer(tokenizer)
        self._db = db
        self._cursors = cursors
        self._cache = cache
        self._files = files
        self._sizes: dict[tuple[Position, ContextSubject | None], SizedEvent] = {}
        self._lock = Lock()

    def assemble(self, call: Call, target: Target, options: context_pb2.ContextOptions) -> Assembled:
        """Return the current context of a target.

        Raises NotFound if the target does not exist, and InvalidArgument if a cursor or a page token is of
        another log or another target.
        """
        since, known, page = self._start(call, target, options)
        version = self.version(call, target, since)
        if since.position not in (BEGINNING, version.latest) and not version.knows_since:
            with self._db.connection(call) as conn:
                elsewhere = event_store.is_elsewhere(conn, since.position, project=call.project)
            raise CursorForeign("options.since_cursor", of_another_project=elsewhere)
        files = self._list_files(call, version, options)
        if digests.lack_events(known):
            since = FIRST
        request = _ContextRequest(call, target, options, since, known, page, files, self._tokenizer)

        made: list[_Composed] = []

        def load() -> Loaded:
            contents = self._load(request)
            loaded = request
            if directory_of(contents.version) != directory_of(version):
                loaded = replace(request, files=self._list_files(call, contents.version, options))
            loaded, composed = self._compose_whole(loaded, contents)
            made.append(composed)
            return Loaded(composed.body, loaded.key(contents.version) if composed.whole else None)

        body, cached = self._cache.get_or_load(
            "context", request.key(version), load, timeout=call.seconds_left()
        )
        return Assembled(body, cached, None if cached else made[0].event)

    def check(self, call: Call, target: Target, options: context_pb2.ContextOptions) -> None:
        """Raise InvalidArgument if a cursor or a page token is of another log or another target."""
        self._start(call, target, options)

    def version(self, call: Call, target: Target, since: Cursor = FIRST) -> ContextVersion:
        """Return the version of the target's state.

        Raises NotFound if the target does not exist. A session outlives its target.
        """
        with self._db.connection(call) as conn:
            found = context_store.version(
                conn, project=call.project, kind=target.kind, code=target.code, since=since
            )
        if found is None or (target.kind != EntityType.SESSION and found.deleted):
            raise NotFound(ENTITY_NAMES[target.kind], target.code)
        return found

    def _list_files(
        self, call: Call, version: ContextVersion, options: context_pb2.ContextOptions
    ) -> list[FileState]:
        """Return the target's files unless the request omits them."""
        directory = directory_of(version)
        if _FILES in options.omit_sections or not directory:
            return []
        return self._files.list_files(call.project, directory)

    def _start(
        self, call: Call, target: Target, options: context_pb2.ContextOptions
    ) -> tuple[Cursor, bytes, context_store.TaskPageRequest]:
        """Return the cursor after which events start, the caller's digests, and the page of tasks."""
        scope = _scope(call, target)
        size = page_size(options.page_size)
        page = context_store.TaskPageRequest(size, -1, EPOCH_START, "")
        if position := self._cursors.page_position(options.page_token, scope):
            page = context_store.TaskPageRequest(
                size, position[1], datetime.fromisoformat(position[0]), position[2]
            )
        if _TASKS in options.omit_sections:
            page = page._replace(limit=0)
        if not options.since_cursor:
            return FIRST, b"", page
        since = self._cursors.read_cursor(options.since_cursor, "options.since_cursor")
        target_digest, known = digests.split(self._cursors.context_digests(options.since_cursor))
        if target_digest and target_digest != digests.of_target(scope):
            raise InvalidArgument(
                {"options.since_cursor": "is of a context of another target"}, reason="CURSOR_INVALID"
            )
        return since, known, page

    def _load(self, request: _ContextRequest) -> context_store.Contents:
        target = request.target
        with self._db.connection(request.call) as conn:
            found = context_store.load(
                conn, project=request.call.project, kind=target.kind, code=target.code, since=request.since,
                events=request.events, page=request.page,
            )  # fmt: skip
        if found is None or (target.kind != EntityType.SESSION and found.version.deleted):
            raise NotFound(ENTITY_NAMES[target.kind], target.code)
        return found

    def _compose_whole(
        self, request: _ContextRequest, contents: context_store.Contents
    ) -> tuple[_ContextRequest, _Composed]:
        """Return the context and its request. Files that changed before they were read are listed again."""
        composed = self._compose(request, contents)
        for _ in range(LISTINGS):
            if composed.whole:
                break
            files = self._list_files(request.call, contents.version, request.options)
            if files == request.files:
                # The listing is the same: a file cannot be read.
                return request, composed._replace(whole=True)
            request = replace(request, files=files)
            composed = self._compose(request, contents)
        return request, composed

    def _compose(self, request: _ContextRequest, contents: context_store.Contents) -> _Composed:
        """Return the context of what was read, trimmed as requested."""
        parts = self._parts(request, contents)
        context = context_pb2.Context(
            target_type=int(request.target.kind),  # type: ignore[arg-type]  # the numbers are the same
            target_code=request.target.code,
            version="0" * _VERSION,
        )
        scope = _scope(request.call, request.target)
        changed = digests.merge_changed(context, parts, request.digests, tasks_version=contents.version.tasks)
        events = self._sized(request, contents)
        if request.since != FIRST and request.events and not events:
            context.unchanged.append(_EVENTS)
            context.unchanged.sort()
        # Events above the horizon that the caller has seen stay seen.
        latest = contents.version.latest
        as_of = request.since.at(latest) if request.since.open else Cursor(latest)
        context.as_of_cursor = self._cursors.context_cursor(as_of, digests.of_target(scope) + changed)
        subject = "sprint" if contents.version.own_sprint else "task"
        made: Layout
        if request.options.format == context_pb2.CONTEXT_FORMAT_MARKDOWN:
            made = MarkdownLayout(context, [event.body for event in events], subject=subject)
        else:
            made = JsonLayout(context, events, subject=subject)
        budget = request.options.token_budget
        if self._count is None:
            fitted = layout.fit(made, budget)
        else:
            fitted = tokenizers.fit(made, budget, count=partial(self._tokens_of, made))
        body, version = _versioned(fitted)
        rest = context_pb2.Context(version=version, token_estimate=fitted.estimate)
        event = _event(request, contents, {"version": version, "token_estimate": fitted.estimate})
        whole = not request.files or len(parts[_FILES].files) == len(request.files)
        return _Composed(body + rest.SerializeToString(), event, whole)

    def _tokens_of(self, made: Layout, fitted: Fitted) -> int:
        """Return the tokens of a context, counted by the tokenizer."""
        assert self._count is not None
        body, version = _versioned(fitted)
        context = context_pb2.Context.FromString(body)
        context.version = version
        return self._count(made.text(context))

    def _parts(
        self, request: _ContextRequest, contents: context_store.Contents
    ) -> Mapping[context_pb2.ContextSection.ValueType, context_pb2.Context]:
        """Return the sections that are not omitted, without events."""
        parts = make_sections(
            contents, request.target.kind, request.target.code, ids=request.options.include_ids
        )
        self._page(request, contents, parts[_TASKS])
        if request.files:
            hashes = self._files.hashes(request.call, request.files)
            found = [context_file(state, hashes[state]) for state in request.files if state in hashes]
            parts[_FILES].files.extend(found)
        for section in request.options.omit_sections:
            del parts[section]
        return parts

    def _page(
        self, request: _ContextRequest, contents: context_store.Contents, part: context_pb2.Context
    ) -> None:
        """Add a page of the sprint's tasks, and the token of the next page."""
        tasks = [task_pb2.Task.FromString(body) for body in contents.listed]
        part.tasks.extend(task_summary(task) for task in tasks)
        if contents.listed_more:
            last = tasks[-1]
            position = [to_datetime(last.create_time).isoformat(), last.priority, last.code]
            part.next_page_token = self._cursors.page_token(_scope(request.call, request.target), position)

    def _sized(self, request: _ContextRequest, contents: context_store.Contents) -> list[SizedEvent]:
        """Return the events with their sizes, without those that other sections show."""
        subject = None if request.options.include_ids else _subject_of(contents, request.options)
        shown = _shown_elsewhere(contents, request.options.omit_sections)
        return [
            self._sized_event(position, body, subject)
            for position, body in contents.events
            if position not in shown
        ]

    def _sized_event(self, position: Position, stored: bytes, subject: ContextSubject | None) -> SizedEvent:
        found = self._sizes.get((position, subject))
        if found is None:
            event = event_pb2.Event.FromString(self._cursors.event_bytes(StoredEvent(position, stored)))
            if subject is not None:
                event = shortened(event, subject)
            found = SizedEvent(event.SerializeToString(deterministic=True), size(to_json(event)))
            with self._lock:
                if len(self._sizes) >= SIZES:
                    self._sizes.clear()
                self._sizes[position, subject] = found
        return found


def _subject_of(contents: context_store.Contents, options: context_pb2.ContextOptions) -> ContextSubject:
    """Return the name and texts of the context's task or sprint, which events need not repeat."""
    version = contents.version
    if version.own_sprint:
        sprint = sprint_pb2.Sprint.FromString(contents.sprint or b"")
        texts = frozenset(filter(None, (sprint.title, sprint.goal)))
        return ContextSubject(int(EntityType.SPRINT), version.own_sprint, version.own_sprint, texts)
    task = task_pb2.Task.FromString(contents.task or b"")
    texts = frozenset(filter(None, (task.title, task.description)))
    reasons: frozenset[str] = frozenset()
    if context_pb2.CONTEXT_SECTION_ATTEMPTS not in options.omit_sections:
        reasons = frozenset(filter(None, (attempt.reason for attempt in background.attempts(contents))))
    return ContextSubject(int(EntityType.TASK), version.task_code, version.sprint_code, texts, reasons)


def _shown_elsewhere(contents: context_store.Contents, omitted: Sequence[int]) -> set[Position]:
    """Return the positions of the events that other sections show."""
    noted, decided = background.activities(contents)
    found = [] if context_pb2.CONTEXT_SECTION_NOTES in omitted else noted
    if context_pb2.CONTEXT_SECTION_DECISIONS not in omitted:
        found = found + decided
    return {position for position, _ in found}


def directory_of(version: ContextVersion) -> str:
    """Return the directory of a target's files; empty if it has none."""
    if version.own_sprint:
        return sprint_directory(version.own_sprint)
    return task_directory(version.task_code, version.sprint_code) if version.task_code else ""


def _event(request: _ContextRequest, contents: context_store.Contents, payload: dict[str, Any]) -> EventRow:
    """Return the event that a context was assembled. It is P2 for any target, so that it may expire."""
    uid = (
        common_pb2.Session.FromString(contents.session or b"").uid
        or task_pb2.Task.FromString(contents.task or b"").uid
        or sprint_pb2.Sprint.FromString(contents.sprint or b"").uid
    )
    session = request.target.code if request.target.kind == EntityType.SESSION else request.call.session_key
    return change_event(
        request.call._replace(session_key=session), context_store.ASSEMBLED.removeprefix("orchestration."),
        contents.version.now, entity=request.target.kind, code=request.target.code, uid=uid, revision=0,
        payload=payload, sprint_code=contents.version.sprint_code,
    )  # fmt: skip


def _scope(call: Call, target: Target) -> list[object]:
    """Return the scope of the cursors and page tokens of a target's contexts."""
    return ["context", call.project, int(target.kind), target.code]

"""The context broker: what an agent needs to know, in one call.

A context is found under the version of all that it tells, which one statement reads; where the cache has
none, one more reads the rest, in one snapshot. docs/context.md says what stands in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
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
from orchestration_server.context import background, compact_json, token_budget
from orchestration_server.context import tokenizer as tokenizers
from orchestration_server.context.compact_json import size, to_json
from orchestration_server.context.events import ContextSubject, shortened
from orchestration_server.context.sections import SECTIONS, file, parts_of
from orchestration_server.context.token_budget import SizedEvent
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
from orchestration_server.workspace.reader import FileState, WorkspaceFiles
from orchestration_server.workspace.tree import sprint_directory, task_directory

EVENTS_DEFAULT = 100
SIZES = 50_000
"""The most events that are kept in the form that contexts show."""
LISTINGS = 3
"""How often files are listed again because some changed before they were read."""
_MARK = 3
"""Bytes that say what a part's content was: one in sixteen million changes is not seen."""
_NO_MARK = bytes(_MARK)
_TOLD = b"\xff" * _MARK
"""The mark of the events: which there are, the place says."""
_VERSION = 16
"""Decimal digits of a version: every number takes as many tokens by the estimate."""
_EVENTS = context_pb2.CONTEXT_SECTION_EVENTS
_FILES = context_pb2.CONTEXT_SECTION_FILES
_TASKS = context_pb2.CONTEXT_SECTION_TASKS
_EVENTS_FIELD = context_pb2.Context.EVENTS_FIELD_NUMBER


class Target(NamedTuple):
    """Whose context: the code of a task or a sprint, or the key of a session."""

    kind: EntityType
    code: str


class Assembled(NamedTuple):
    """A serialized Context, and whether it came from the cache."""

    body: bytes
    from_cache: bool
    event: EventRow | None = None
    """What says that it was assembled, where it did not; recorded by who wants that known."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one call asks for."""

    call: Call
    target: Target
    options: context_pb2.ContextOptions
    since: Cursor
    marks: bytes
    """What the caller's context said of its parts; empty where nothing is known of it."""
    page: context_store.TaskPageRequest
    files: list[FileState]
    tokenizer: str

    @property
    def events(self) -> int:
        """How many of the last events at most."""
        return 0 if _EVENTS in self.options.omit_sections else self.options.max_events or EVENTS_DEFAULT

    def key(self, version: context_store.ContextVersion) -> list[object]:
        """All that the context depends on."""
        options = context_pb2.ContextOptions()
        options.CopyFrom(self.options)
        options.omit_sections.sort()
        return [
            self.call.project, self.target.kind, self.target.code, version.numbers, version.texts,
            options.SerializeToString(deterministic=True).hex(), self.files, self.tokenizer,
        ]  # fmt: skip


class _Composed(NamedTuple):
    """A context that was made, and the event that says so."""

    body: bytes
    event: EventRow
    whole: bool
    """Whether all files that were listed could be read."""


def _named(fitted: token_budget.Fitted) -> tuple[bytes, str]:
    """A context's bytes but for its version, and its version, which is a digest of them."""
    context = context_pb2.Context()
    context.CopyFrom(fitted.context)
    context.ClearField("version")
    body = context.SerializeToString(deterministic=True) + embed_all(_EVENTS_FIELD, fitted.events)
    number = int.from_bytes(blake2b(body, digest_size=8).digest()) % 10**_VERSION
    return body, f"{number:0{_VERSION}}"


class Broker:
    """Assembles contexts. ``files`` are those of the workspace, if there is one, and ``tokenizer`` names what
    counts tokens, as context/tokenizer.py takes it."""

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
        """The context as it is now.

        NotFound where there is no such target; InvalidArgument for a cursor or a page token that is not of
        this log, or of another target.
        """
        since, marks, page = self._start(call, target, options)
        version = self.version(call, target, since)
        if since.position not in (BEGINNING, version.latest) and not version.knows_since:
            with self._db.connection(call) as conn:
                elsewhere = event_store.is_elsewhere(conn, since.position, project=call.project)
            raise CursorForeign("options.since_cursor", of_another_project=elsewhere)
        files = self._listed(call, version, options)
        if marks and _mark_of(marks, _EVENTS) == _NO_MARK:
            since = FIRST
        asked = _Asked(call, target, options, since, marks, page, files, self._tokenizer)

        made: list[_Composed] = []

        def load() -> Loaded:
            contents = self._load(asked)
            loaded = asked
            if directory_of(contents.version) != directory_of(version):
                loaded = replace(asked, files=self._listed(call, contents.version, options))
            loaded, composed = self._composed_whole(loaded, contents)
            made.append(composed)
            return Loaded(composed.body, loaded.key(contents.version) if composed.whole else None)

        body, cached = self._cache.get_or_load(
            "context", asked.key(version), load, timeout=call.seconds_left()
        )
        return Assembled(body, cached, None if cached else made[0].event)

    def check(self, call: Call, target: Target, options: context_pb2.ContextOptions) -> None:
        """Refuses a cursor or a page token that is not of this log, or of another target."""
        self._start(call, target, options)

    def version(self, call: Call, target: Target, since: Cursor = FIRST) -> context_store.ContextVersion:
        """What the target's state is called. NotFound where it is not there; a session outlives its own."""
        with self._db.connection(call) as conn:
            found = context_store.version(
                conn, project=call.project, kind=target.kind, code=target.code, since=since
            )
        if found is None or (target.kind != EntityType.SESSION and found.deleted):
            raise NotFound(ENTITY_NAMES[target.kind], target.code)
        return found

    def _listed(
        self, call: Call, version: context_store.ContextVersion, options: context_pb2.ContextOptions
    ) -> list[FileState]:
        """Return the target's files, if they are asked for."""
        directory = directory_of(version)
        if _FILES in options.omit_sections or not directory:
            return []
        return self._files.list_files(call.project, directory)

    def _start(
        self, call: Call, target: Target, options: context_pb2.ContextOptions
    ) -> tuple[Cursor, bytes, context_store.TaskPageRequest]:
        """Where events and tasks begin."""
        scope = _scope(call, target)
        size = page_size(options.page_size)
        page = context_store.TaskPageRequest(size, -1, EPOCH_START, "")
        if place := self._cursors.page_position(options.page_token, scope):
            page = context_store.TaskPageRequest(size, place[1], datetime.fromisoformat(place[0]), place[2])
        if _TASKS in options.omit_sections:
            page = page._replace(limit=0)
        if not options.since_cursor:
            return FIRST, b"", page
        since = self._cursors.read_cursor(options.since_cursor, "options.since_cursor")
        marks = self._cursors.context_digests(options.since_cursor)
        if len(marks) != _MARK * (1 + len(SECTIONS)):
            # Of another release, whose contexts had other parts: nothing is known of them.
            marks = b""
        if marks and marks[:_MARK] != _mark(repr(scope).encode()):
            raise InvalidArgument(
                {"options.since_cursor": "is of a context of another target"}, reason="CURSOR_INVALID"
            )
        return since, marks[_MARK:], page

    def _load(self, asked: _Asked) -> context_store.Contents:
        target = asked.target
        with self._db.connection(asked.call) as conn:
            found = context_store.load(
                conn, project=asked.call.project, kind=target.kind, code=target.code, since=asked.since,
                events=asked.events, page=asked.page,
            )  # fmt: skip
        if found is None or (target.kind != EntityType.SESSION and found.version.deleted):
            raise NotFound(ENTITY_NAMES[target.kind], target.code)
        return found

    def _composed_whole(self, asked: _Asked, contents: context_store.Contents) -> tuple[_Asked, _Composed]:
        """Return the context and what it is of: files that changed before they were read are listed again."""
        composed = self._composed(asked, contents)
        for _ in range(LISTINGS):
            if composed.whole:
                break
            files = self._listed(asked.call, contents.version, asked.options)
            if files == asked.files:
                # None changed: one cannot be read.
                return asked, composed._replace(whole=True)
            asked = replace(asked, files=files)
            composed = self._composed(asked, contents)
        return asked, composed

    def _composed(self, asked: _Asked, contents: context_store.Contents) -> _Composed:
        """The context of what was read, as it was asked for."""
        parts = self._parts(asked, contents)
        context = context_pb2.Context(
            target_type=int(asked.target.kind),  # type: ignore[arg-type]  # the numbers are the same
            target_code=asked.target.code,
            version="0" * _VERSION,
        )
        marks = [_mark(repr(_scope(asked.call, asked.target)).encode())]
        for section in SECTIONS:
            part = parts.get(section)
            if part is None or section == _EVENTS:
                marks.append(_NO_MARK if part is None else _TOLD)
                continue
            state = part.SerializeToString(deterministic=True)
            mark = _mark(contents.version.tasks.encode() if section == _TASKS else state)
            marks.append(mark)
            if mark != _mark_of(asked.marks, section):
                context.MergeFrom(part)
            elif state:
                context.unchanged.append(section)
        events = self._sized(asked, contents)
        if asked.since != FIRST and asked.events and not events:
            context.unchanged.append(_EVENTS)
            context.unchanged.sort()
        # What the caller has seen above the horizon stays seen.
        latest = contents.version.latest
        as_of = asked.since.at(latest) if asked.since.open else Cursor(latest)
        context.as_of_cursor = self._cursors.context_cursor(as_of, b"".join(marks))
        subject = "sprint" if contents.version.own_sprint else "task"
        budget = asked.options.token_budget
        if self._count is None:
            fitted = token_budget.fit(context, events, budget, subject=subject)
        else:
            fitted = tokenizers.fit(context, events, budget, subject=subject, count=self._tokens_of)
        body, version = _named(fitted)
        rest = context_pb2.Context(version=version, token_estimate=fitted.estimate)
        event = _event(asked, contents, {"version": version, "token_estimate": fitted.estimate})
        whole = not asked.files or len(parts[_FILES].files) == len(asked.files)
        return _Composed(body + rest.SerializeToString(), event, whole)

    def _tokens_of(self, fitted: token_budget.Fitted) -> int:
        """How many tokens a context takes by the tokenizer."""
        assert self._count is not None
        body, version = _named(fitted)
        context = context_pb2.Context.FromString(body)
        context.version = version
        return self._count(compact_json.text(context))

    def _parts(
        self, asked: _Asked, contents: context_store.Contents
    ) -> Mapping[context_pb2.ContextSection.ValueType, context_pb2.Context]:
        """Each part that is not left out; events come for themselves."""
        parts = parts_of(contents, asked.target.kind, asked.target.code, ids=asked.options.include_ids)
        self._page(asked, contents, parts[_TASKS])
        if asked.files:
            hashes = self._files.hashes(asked.call, asked.files)
            found = [file(state, hashes[state]) for state in asked.files if state in hashes]
            parts[_FILES].files.extend(found)
        for section in asked.options.omit_sections:
            del parts[section]
        return parts

    def _page(self, asked: _Asked, contents: context_store.Contents, part: context_pb2.Context) -> None:
        """The sprint's tasks in short, and where they go on."""
        tasks = [task_pb2.Task.FromString(body) for body in contents.listed]
        part.tasks.extend(task_summary(task) for task in tasks)
        if contents.listed_more:
            last = tasks[-1]
            place = [to_datetime(last.create_time).isoformat(), last.priority, last.code]
            part.next_page_token = self._cursors.page_token(_scope(asked.call, asked.target), place)

    def _sized(self, asked: _Asked, contents: context_store.Contents) -> list[SizedEvent]:
        """Return the events with their sizes. Those that are shown as notes or decisions are left out."""
        about = None if asked.options.include_ids else _about(contents)
        shown = _noted(contents, asked.options.omit_sections)
        return [
            self._sized_event(position, body, about)
            for position, body in contents.events
            if position not in shown
        ]

    def _sized_event(self, position: Position, stored: bytes, about: ContextSubject | None) -> SizedEvent:
        found = self._sizes.get((position, about))
        if found is None:
            event = event_pb2.Event.FromString(self._cursors.event_bytes(StoredEvent(position, stored)))
            if about is not None:
                event = shortened(event, about)
            found = SizedEvent(event.SerializeToString(deterministic=True), size(to_json(event)))
            with self._lock:
                if len(self._sizes) >= SIZES:
                    self._sizes.clear()
                self._sizes[position, about] = found
        return found


def _about(contents: context_store.Contents) -> ContextSubject:
    """Return what events need not repeat: the names and texts of what the context is about."""
    version = contents.version
    if version.own_sprint:
        sprint = sprint_pb2.Sprint.FromString(contents.sprint or b"")
        texts = frozenset(filter(None, (sprint.title, sprint.goal)))
        return ContextSubject(int(EntityType.SPRINT), version.own_sprint, version.own_sprint, texts)
    task = task_pb2.Task.FromString(contents.task or b"")
    texts = frozenset(filter(None, (task.title, task.description)))
    return ContextSubject(int(EntityType.TASK), version.task_code, version.sprint_code, texts)


def _noted(contents: context_store.Contents, omitted: Sequence[int]) -> set[Position]:
    """Return the places of the events that other parts show."""
    noted, decided = background.activities(contents)
    found = [] if context_pb2.CONTEXT_SECTION_NOTES in omitted else noted
    if context_pb2.CONTEXT_SECTION_DECISIONS not in omitted:
        found = found + decided
    return {position for position, _ in found}


def directory_of(version: context_store.ContextVersion) -> str:
    """Where the files of a target are; empty where it has none."""
    if version.own_sprint:
        return sprint_directory(version.own_sprint)
    return task_directory(version.task_code, version.sprint_code) if version.task_code else ""


def _event(asked: _Asked, contents: context_store.Contents, payload: dict[str, Any]) -> EventRow:
    """Says that a context was assembled. P2 whatever its target is: nothing of it has to be kept for ever."""
    uid = (
        common_pb2.Session.FromString(contents.session or b"").uid
        or task_pb2.Task.FromString(contents.task or b"").uid
        or sprint_pb2.Sprint.FromString(contents.sprint or b"").uid
    )
    session = asked.target.code if asked.target.kind == EntityType.SESSION else asked.call.session_key
    return change_event(
        replace(asked.call, session_key=session), context_store.ASSEMBLED.removeprefix("orchestration."),
        contents.version.now, entity=asked.target.kind, code=asked.target.code, uid=uid, revision=0,
        payload=payload, sprint_code=contents.version.sprint_code,
    )  # fmt: skip


def _scope(call: Call, target: Target) -> list[object]:
    """What cursors and page tokens of a target's contexts are valid for."""
    return ["context", call.project, int(target.kind), target.code]


def _mark_of(marks: bytes, section: int) -> bytes:
    """What the marks of all parts say of one."""
    return marks[(section - 1) * _MARK : section * _MARK]


def _mark(state: bytes) -> bytes:
    return blake2b(state, digest_size=_MARK).digest()

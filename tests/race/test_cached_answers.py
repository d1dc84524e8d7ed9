"""Each cached response is one that an uncached read would have given during the call."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Condition
from typing import Any, NamedTuple

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from orchestration.v1 import context_pb2, coordination_pb2, event_pb2, session_pb2, sprint_pb2, task_pb2
from orchestration_server.app import App
from orchestration_server.cache.read_through import Cache, Loaded
from tests.conftest import open_channel
from tests.support.histories import update
from tests.support.ledger import Ledger
from tests.support.lengths import lengths

READERS = 4
SECONDS = 10
SIZES = (3,)
SPRINTS = ("S1", "S2")
TASKS = tuple(f"t{number}" for number in range(6))
END = Timestamp(seconds=4_102_444_800)
ASSEMBLED = "orchestration.context.assembled"

Query = tuple[str, Any]
QUERIES: list[Query] = [
    *(("sprint", (code, size)) for code in SPRINTS for size in SIZES),
    *((part, key) for part in ("context", "files") for key in ("of-S1", "of-t0")),
    *(("stats", of) for of in ("", "S1")),
]


def ask(ledger: Ledger, query: Query) -> bytes:
    """Return a response without from_cache and without tokens, which differ each time."""
    kind, of = query
    if kind == "sprint":
        full = ledger.sprints.GetSprint(
            sprint_pb2.GetSprintRequest(
                sprint_code=of[0], view=sprint_pb2.SPRINT_VIEW_FULL, task_page_size=of[1]
            )
        )
        listed = len(full.tasks)
        assert listed == min(full.task_counts.total, of[1]), "the list and the counts disagree"
        assert bool(full.next_task_page_token) == (full.task_counts.total > of[1])
        full.ClearField("next_task_page_token")
        return full.SerializeToString(deterministic=True)
    if kind in ("context", "files"):
        request = session_pb2.GetSessionContextRequest(session_key=of)
        context = ledger.sessions.GetSessionContext(request).context
        # Files are not read in the database's snapshot, so the two are compared separately.
        if kind == "files":
            return b"".join(file.SerializeToString(deterministic=True) for file in context.files)
        for name in ("files", "version", "token_estimate", "as_of_cursor"):
            context.ClearField(name)
        return context.SerializeToString(deterministic=True)
    stats = ledger.events.GetEventStats(event_pb2.GetEventStatsRequest(sprint_code=of, end_time=END))
    assert stats.total == sum(count.count for count in stats.counts)
    return repr(sorted((count.key, count.count) for count in stats.counts)).encode()


class Memory(dict[bytes, bytes]):
    """Return a connection to Redis that never counts as away, even on a busy machine."""

    failing = False

    def set(self, key: bytes, value: bytes, *, ex: int) -> None:
        assert ex
        self[key] = value

    def execute(self, command: Callable[[Any], Any], name: str = "") -> Any:
        assert name
        return command(self)


class Read(NamedTuple):
    """A response, and the writes between which it was read."""

    query: Query
    answer: bytes
    first: int
    last: int


class Race:
    """One writer, whose states an uncached server records, and readers of a cached server."""

    def __init__(self, cached: Ledger, fresh: Ledger, files: Path, memory: Memory) -> None:
        self._cached, self._fresh, self._files, self._memory = cached, fresh, files, memory
        self.states: list[dict[Query, bytes]] = []
        self._begun = 0
        self._ended = False
        self._changed = Condition()
        self._status_of = ""
        self._there: dict[str, str] = {}
        self._links: set[tuple[str, str]] = set()
        self._new = 0

    def begin(self) -> None:
        for code in SPRINTS:
            self._fresh.sprint(code, status=2)
            self._fresh.session(f"of-{code}", sprint_code=code)
        for code in TASKS:
            self._fresh.task(code, sprint_code="S1")
            self._there[code] = "S1"
        self._fresh.session("of-t0", task_code="t0")
        self._look()

    def _look(self) -> None:
        state = {query: ask(self._fresh, query) for query in QUERIES}
        with self._changed:
            self.states.append(state)
            self._changed.notify_all()

    def wait_for_a_write(self) -> None:
        """Wait until the next write has ended, so that earlier reads are of another state."""
        with self._changed:
            known = len(self.states)
            self._changed.wait_for(lambda: self._ended or len(self.states) > known, timeout=SECONDS)

    def write(self, writes: int) -> None:
        chance = random.Random(1)
        try:
            for _ in range(writes):
                with self._changed:
                    self._begun += 1
                self._change(chance)
                self._look()
                if chance.random() < 0.2:
                    self._memory.clear()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _change(self, chance: random.Random) -> None:
        """Make one write. Later writes undo many of them; the next one undoes a change of status."""
        tasks, code = self._fresh.tasks, self._status_of or chance.choice(TASKS[1:])
        kind = 1 if self._status_of else chance.choice((0, 1, 1, 1, 1, 2, 3, 4, 5, 6))
        self._status_of = code if kind == 1 and not self._status_of else ""
        if kind == 0:
            there = "" if self._there[code] else "S1"
            update(tasks, code, sprint_code=there)
            self._there[code] = there
        elif kind == 1:
            self._fresh.set_status(code, 3 if tasks.GetTask(_get(code)).task.status == 1 else 1)
        elif kind == 2 and self._new % 2:
            tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code=f"new{self._new}"))
            self._new += 1
        elif kind == 2:
            self._new += 1
            self._fresh.task(f"new{self._new}", sprint_code="S1")
        elif kind == 3:
            link = coordination_pb2.Dependency(task_code="t0", depends_on_code=code)
            if ("t0", code) in self._links:
                request = coordination_pb2.RemoveDependencyRequest(dependency=link)
                self._fresh.coordination.RemoveDependency(request)
            else:
                self._fresh.coordination.AddDependency(coordination_pb2.AddDependencyRequest(dependency=link))
            self._links ^= {("t0", code)}
        elif kind == 4:
            self._fresh.emit(code, sprint_code=chance.choice(SPRINTS))
        elif kind == 5:
            self._files.mkdir(parents=True, exist_ok=True)
            (self._files / f"{chance.randrange(3)}.md").write_text("x" * chance.randrange(100))
        else:
            self._fresh.retitle(code, f"title {chance.random()}")

    def read(self, reader: int) -> list[Read]:
        chance, found = random.Random(reader), []
        while not self._ended:
            query = chance.choice(QUERIES)
            first = len(self.states) - 1
            answer = ask(self._cached, query)
            with self._changed:
                found.append(Read(query, answer, first, self._begun))
        return found

    def play(self, writes: int) -> list[str]:
        """Return the responses that match no state of their time or are wrong after the last write."""
        self.begin()
        with ThreadPoolExecutor(READERS + 1) as pool:
            readers = [pool.submit(self.read, number) for number in range(READERS)]
            pool.submit(self.write, writes).result()
            reads = [read for one in readers for read in one.result()]
        assert len(reads) > writes
        wrong = [
            f"{read.query} between {read.first} and {read.last}"
            for read in reads
            if read.answer not in [state[read.query] for state in self.states[read.first : read.last + 1]]
        ]
        last = self.states[-1]
        wrong += [f"{query} at the end" for query in QUERIES if ask(self._cached, query) != last[query]]
        return wrong


def _get(code: str) -> task_pb2.GetTaskRequest:
    return task_pb2.GetTaskRequest(task_code=code)


@pytest.fixture
def race(start_app: Callable[..., App], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Race]:
    """Two servers of one ledger and workspace: one without a cache, one that is slow to load.

    The slow one loads only once the state has changed since it read the version.
    """
    root = tmp_path / "workspace"
    root.mkdir()
    cached = start_app(workspace=root)
    fresh = start_app(workspace=root, redis_url="")
    memory = Memory()
    monkeypatch.setattr(cached.cache, "_redis", memory)
    get_or_load = Cache.get_or_load

    def slowed(self: Cache, kind: str, version: Any, load: Callable[[], Loaded], **given: Any) -> Any:
        def late() -> Loaded:
            if self is cached.cache:
                found.wait_for_a_write()
            return load()

        return get_or_load(self, kind, version, late, **given)

    monkeypatch.setattr(Cache, "get_or_load", slowed)
    with (
        open_channel(cached.address) as one,
        open_channel(fresh.address) as two,
    ):
        found = Race(Ledger(one), Ledger(two), root / "delegation" / "sprints" / "S1", memory)
        yield found


@lengths("writes", short=20, long=60)
def test_cached_responses_are_of_their_time_and_end_up_right(race: Race, writes: int) -> None:
    assert race.play(writes) == []


def unchecked(get_or_load: Callable[..., Any]) -> Callable[..., Any]:
    """Store the loaded response under the version read before it, without a second look."""

    def stored_as_asked(
        self: Cache, kind: str, version: Any, load: Callable[[], Loaded], **given: Any
    ) -> Any:
        return get_or_load(self, kind, version, lambda: Loaded(load().value, version), **given)

    return stored_as_asked


@pytest.mark.parametrize("looks", [True, False])
def test_a_state_that_came_and_went_during_a_load_is_in_no_later_response(
    start_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch, looks: bool
) -> None:
    """The control: without the second look, the context of one state is found in another."""
    app = start_app()
    memory = Memory()
    monkeypatch.setattr(app.cache, "_redis", memory)
    get_or_load = Cache.get_or_load if looks else unchecked(Cache.get_or_load)
    with open_channel(app.address) as channel:
        ledger = Ledger(channel)
        ledger.sprint("S1")
        ledger.task("keep", sprint_code="S1")
        ledger.task("other", sprint_code="S1")
        ledger.session("of-keep", task_code="keep")
        sprint, context = ("sprint", ("S1", 3)), ("context", "of-keep")

        def interrupted(
            self: Cache, kind: str, version: Any, load: Callable[[], Loaded], **given: Any
        ) -> Any:
            def late() -> Loaded:
                if kind == "sprint":
                    ledger.task("comes", sprint_code="S1")
                else:
                    ledger.set_status("other", 3)
                return load()

            return get_or_load(self, kind, version, late, **given)

        memory.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Cache, "get_or_load", interrupted)
            ask(ledger, context)
            ask(ledger, sprint)
        ledger.tasks.DeleteTask(task_pb2.DeleteTaskRequest(task_code="comes"))
        ledger.set_status("other", 1)
        full = sprint_pb2.GetSprintResponse.FromString(ask(ledger, sprint))
        assert [task.code for task in full.tasks] == ["keep", "other"], "a version never comes back"
        found = context_pb2.Context.FromString(ask(ledger, context))
        assert (found.progress.pending == 2) is looks

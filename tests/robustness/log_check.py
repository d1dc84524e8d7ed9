"""A check that the log has each acknowledged change once, in the order of each task's revisions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from orchestration.v1.event_pb2 import Event
from tests.robustness.history import History
from tests.robustness.spec import PENDING, Answer, Delete, Move

CREATED, DELETED = "orchestration.task.created", "orchestration.task.deleted"
ADDED, REMOVED = "orchestration.task.dependency_added", "orchestration.task.dependency_removed"
NOTED = "robustness.noted"
OPEN_STATUSES = (1, 2, 3)
TASK = 2

Graph = Mapping[str, set[str]]


def faults_of_log(log: Sequence[Event], history: History) -> list[str]:
    """Return the contradictions between the whole log and the answers of the agents."""
    twice = [id_ for id_, times in Counter(event.id for event in log).items() if times > 1]
    found = [f"event {id_} stands in the log more than once" for id_ in twice]
    return found + _faults_of_order(log) + _faults_of_writes(log, history) + _faults_of_emitted(log, history)


def _faults_of_order(log: Sequence[Event]) -> list[str]:
    found: list[str] = []
    revisions: dict[str, int] = defaultdict(int)
    for event in log:
        if event.entity_type != TASK or not event.entity_revision:
            continue
        last, revision = revisions[event.entity_code], event.entity_revision
        step = revision - last
        if step not in (0, 1) or (event.type == CREATED) != (last == 0):
            found.append(f"{event.type} of {event.entity_code} at revision {revision} comes after {last}")
        revisions[event.entity_code] = max(last, revision)
    return found


def _faults_of_writes(log: Sequence[Event], history: History) -> list[str]:
    found: list[str] = []
    told: dict[str, set[int]] = defaultdict(set)
    for event in log:
        if event.entity_type == TASK and event.type not in (ADDED, REMOVED):
            told[event.correlation_id].add(event.entity_revision)
    for write in history.writes.values():
        revisions = told.pop(write.id, set())
        if len(revisions) > 1:
            found.append(f"{write.id} {write.action} acted at revisions {sorted(revisions)}")
        if write.acknowledged is None:
            if revisions and not write.doubtful:
                found.append(f"{write.id} {write.action} was refused, and acted at {sorted(revisions)}")
        elif isinstance(write.action, Delete):
            if not revisions:
                found.append(f"{write.id} was told of a deletion that the log has not")
        elif revisions and revisions != {write.acknowledged.revision}:
            found.append(f"{write.id} was told of {write.acknowledged}, the log of {sorted(revisions)}")
        elif not revisions and not isinstance(write.action, Move):
            # Setting the status that the task has changes nothing; any other write does.
            found.append(f"{write.id} was told of {write.acknowledged}, and the log has no event of it")
    return found + [f"the log has a change by {id_}, which nobody made" for id_ in told]


def _faults_of_emitted(log: Sequence[Event], history: History) -> list[str]:
    noted = [event for event in log if event.type == NOTED]
    by_actor = Counter(event.actor for event in noted)
    ids = {event.actor: event.id for event in noted}
    found = [f"an event of {actor} was stored {n} times" for actor, n in by_actor.items() if n > 1]
    found += [f"an event of {actor}, which never was" for actor in by_actor.keys() - history.attempted]
    found += [
        f"{actor} was told that its event is {id_}, and the log has {ids.get(actor, 'none')}"
        for actor, id_ in history.emitted.items()
        if ids.get(actor) != id_
    ]
    return found


def faults_of_reader(read: Sequence[str], log: Sequence[Event]) -> list[str]:
    """Return the differences between the log and the events that one follower read."""
    whole = [event.id for event in log]
    if list(read) == whole:
        return []
    missing, repeated = len(set(whole) - set(read)), len(read) - len(set(read))
    place = next((n for n, (a, b) in enumerate(zip(read, whole, strict=False)) if a != b), len(read))
    return [
        f"a follower missed {missing} of {len(whole)} events, read {repeated} twice; differs from {place} on"
    ]


def links(log: Sequence[Event]) -> Graph:
    """Return the tasks that each task waits for at the end of the log."""
    graph: dict[str, set[str]] = defaultdict(set)
    for event in log:
        other = event.payload["depends_on"] if event.type in (ADDED, REMOVED) else None
        if other is not None and event.type == ADDED:
            graph[event.entity_code].add(str(other))
        elif other is not None:
            graph[event.entity_code].discard(str(other))
    return graph


def cycle(graph: Graph) -> list[str]:
    """Return the tasks of a cycle, or an empty list."""
    path: list[str] = []
    done: set[str] = set()

    def walk(code: str) -> list[str]:
        if code in path:
            return path[path.index(code) :]
        if code in done:
            return []
        path.append(code)
        for other in graph.get(code, ()):
            if found := walk(other):
                return found
        path.pop()
        done.add(code)
        return []

    for start in list(graph):
        if found := walk(start):
            return found
    return []


def ready(tasks: Mapping[str, Answer], graph: Graph) -> set[str]:
    """Return the live tasks that are pending and have no open blocker."""
    return {
        code
        for code, task in tasks.items()
        if task.status == PENDING
        and not any(other in tasks and tasks[other].status in OPEN_STATUSES for other in graph.get(code, ()))
    }

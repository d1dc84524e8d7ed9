"""`log`, `blame` and `diff`: how an entity came to be what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.cli import arguments, exit_codes
from orchestration.cli.output import Answer, one_line, visible
from orchestration.cli.refusal import Refusal
from orchestration.cli.verb import Session, verb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestration.v1.event_pb2 import EntityChange

Entity = Annotated[str, typer.Option("--type", help="task, sprint or session: what the code names.")]
Archived = Annotated[bool, typer.Option("--archived", help="Include archived events.")]


@verb
def log(
    session: Session,
    code: arguments.TaskCode,
    type_: Entity = "task",
    oldest: Annotated[bool, typer.Option("--oldest-first", help="Begin with the creation.")] = False,
    archived: Archived = False,
    limit: arguments.Limit = 50,
) -> Answer:
    """List the changes of a task, the newest first, with the values before and after."""
    from orchestration.cli import lists, times
    from orchestration.cli.documents import to_document

    session.subject = code
    found, more = lists.first(lambda size: _changes(session, code, type_, size, oldest, archived), limit)
    lines: list[str] = []
    for change in found:
        head = f"{_revision(change):<4} {times.clock(change.occur_time)}  {_who(change)}"
        what = change.type.removeprefix(f"orchestration.{type_}.")
        lines.append(session.out.paint(visible(f"{head}  {what}"), "bold"))
        lines += [f"     {text}" for text in _fields(change)]
        if change.reason:
            lines.append(f"     because: {one_line(change.reason)}")
    if more:
        lines.append(f"these are {len(found)} of more changes; --limit lists more")
    document = {"changes": [to_document(change) for change in found], "more": more}
    return Answer(document, lines, [change.event_id for change in found])


@verb
def blame(
    session: Session,
    code: arguments.TaskCode,
    field: Annotated[str, typer.Argument(metavar="FIELD", help="A field, such as status or assignee.")],
    type_: Entity = "task",
) -> Answer:
    """Say which change set a field to its value: who, when and why."""
    from orchestration.cli import times
    from orchestration.cli.documents import to_document

    session.subject = code
    name = {"sprint": "sprint_code"}.get(field, field) if type_ == "task" else field
    for change in _changes(session, code, type_, 500, False, True):
        if name in change.changes.fields:
            lines = [
                visible(f"{name} of {code} was set by {_who(change)} at {times.clock(change.occur_time)}")
            ]
            lines += [f"  {text}" for text in _fields(change, only=name)]
            lines += [f"  because: {one_line(change.reason)}"] if change.reason else []
            lines.append(f"  event {change.event_id or 'not logged yet'}, revision {change.revision}")
            return Answer({"field": name, "change": to_document(change)}, lines, [change.event_id])
    known = "title, status, priority, assignee, sprint_code, description, labels"
    raise Refusal(
        f"no change of {code} has set {name!r}: it is as it was made, or there is no such field",
        fix=f"fields are named as in `show --json`, such as {known}",
        code=exit_codes.NOT_FOUND,
    )


@verb
def diff(
    session: Session,
    code: arguments.TaskCode,
    from_: Annotated[int, typer.Option("--from", min=1, help="The first of the two revisions.")] = 1,
    to: Annotated[
        int, typer.Option(min=0, help="The second revision; the newest without.", show_default=False)
    ] = 0,
    type_: Entity = "task",
) -> Answer:
    """Compare two revisions of a task."""
    session.subject = code
    before, first = _state(session, code, type_, from_)
    after, last = _state(session, code, type_, to)
    ignored = ("revision", "hash", "update_time")
    changes = {
        name: {"from": before.get(name), "to": value}
        for name, value in after.items()
        if name not in ignored and before.get(name) != value
    }
    lines = [f"{code}, revision {first} to {last}:"]
    for name, change in changes.items():
        lines.append(f"  {name}")
        lines.append(session.out.paint(f"    - {_shown(change['from'])}", "red"))
        lines.append(session.out.paint(f"    + {_shown(change['to'])}", "green"))
    if not changes:
        lines = [f"{code} is the same in the revisions {first} and {last}"]
    document = {"code": code, "from_revision": first, "to_revision": last, "changes": changes}
    return Answer(document, lines, list(changes))


def _state(session: Session, code: str, type_: str, revision: int) -> tuple[dict[str, Any], int]:
    from orchestration.cli.documents import to_document
    from orchestration.v1.event_pb2 import ReconstructStateRequest

    request = ReconstructStateRequest(entity_type=_entity(type_), entity_code=code)
    if revision:
        request.revision = revision
    found = session.client.events.ReconstructState(request)
    state = found.WhichOneof("state")
    return to_document(getattr(found, state)) if state else {}, found.revision


def _entity(word: str) -> Any:
    from orchestration.cli import words
    from orchestration.v1.common_pb2 import EntityType

    return words.number_of(EntityType.DESCRIPTOR, word)


def _changes(
    session: Session, code: str, type_: str, page_size: int, oldest: bool, archived: bool
) -> Iterator[EntityChange]:
    from orchestration.v1 import event_pb2 as pb

    request = pb.GetEntityHistoryRequest(
        entity_type=_entity(type_), entity_code=code, page_size=page_size, include_archived=archived,
        order=pb.EVENT_ORDER_OLDEST_FIRST if oldest else pb.EVENT_ORDER_NEWEST_FIRST,
    )  # fmt: skip
    return session.client.pages(session.client.events.GetEntityHistory, request)


def _fields(change: EntityChange, only: str = "") -> list[str]:
    from orchestration.structs import plain

    lines = []
    for name, value in plain(change.changes).items():
        if (not only or name == only) and isinstance(value, dict):
            lines.append(f"{name}: {_shown(value.get('from'))} -> {_shown(value.get('to'))}")
    return lines


def _shown(value: Any) -> str:
    import json

    if value is None or value == "":
        return "nothing"
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 300)


def _who(change: EntityChange) -> str:
    return change.agent or change.actor or "someone"


def _revision(change: EntityChange) -> str:
    return f"#{change.revision}" if change.revision else "-"

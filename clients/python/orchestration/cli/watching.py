"""`watch`: the timeline, live, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.cli import arguments
from orchestration.cli.completion_codes import tasks as task_codes
from orchestration.cli.verb import Session, verb

if TYPE_CHECKING:
    from orchestration.v1.event_pb2 import Event

_STYLES = {
    "task.claimed": "cyan",
    "task.lease_expired": "red",
    "sprint.status_changed": "bold",
    "task.blocked": "yellow",
    "task.overdue": "red",
    "alert.raised": "red",
}
_BY_OUTCOME = {"completed": "green", "failed": "red", "returned": "yellow", "blocked": "yellow"}
_BY_STATUS = {"completed": "green", "in_progress": "cyan"}


@verb
def watch(
    session: Session,
    sprint: arguments.InSprint = "",
    task: Annotated[
        str, typer.Option("-t", "--task", metavar="TASK", help="Only this task.", autocompletion=task_codes)
    ] = "",
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only this type, such as orchestration.task.*. Repeat it for more."),
    ] = None,
    last: Annotated[
        int, typer.Option("-n", "--last", min=0, max=10_000, help="Begin with the last events.")
    ] = 10,
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="Begin at a time, such as 2h ago, written 2h.", show_default=False),
    ] = "",
    once: Annotated[bool, typer.Option("--once", help="End with the history, instead of waiting.")] = False,
    give_up: Annotated[
        str, typer.Option(metavar="SPAN", help="End if no server answers for so long; never without.")
    ] = "",
) -> None:
    """Follow what happens, one sentence a line, until Ctrl-C.

    With --json each line is an event. A broken connection is resumed, and each event is printed once.
    The change of a status by a claim or its end is told in one sentence with it.
    """
    from orchestration.cli import sentences, times
    from orchestration.cli.documents import to_document
    from orchestration.v1.event_pb2 import EventFilter

    chosen = EventFilter(sprint_code=sprint, task_code=task, types=type_ or [])
    start: dict[str, Any] = {"from_time": times.moment(since, past=True)} if since else {"last": last}
    if not since and last == 0:
        start = {"from_time": times.moment("0s")}
    timeout = times.span(give_up).total_seconds() if give_up else None
    if once and timeout is None:
        timeout = 5.0
    with (
        _quiet_retries(session),
        session.client.follow(chosen, follow=not once, retry_timeout=timeout, **start) as timeline,
    ):
        for event in timeline:
            if session.out.format in ("json", "yaml"):
                session.out.document(to_document(event))
            elif session.out.format == "name":
                session.out.line(event.id)
            elif not sentences.repeats(event, timeline.peek()):
                for line in _lines(session, event):
                    session.out.line(line)


def _lines(session: Session, event: Event) -> Iterator[str]:
    """Yield the sentence of an event after its time; more lines than one if the terminal is narrow."""
    from orchestration.cli import sentences, times

    out, clock = session.out, times.clock(event.occur_time)
    before = clock + "  "
    style = _style(event)
    for line in out.wrapped(before + sentences.sentence(event), " " * len(before)):
        told = out.paint(line[len(before) :], style) if style else line[len(before) :]
        yield line[: len(before)].replace(clock, out.paint(clock, "dim")) + told


def _style(event: Event) -> str | None:
    kind, fields = event.type.removeprefix("orchestration."), event.payload.fields
    if kind == "task.released":
        return _BY_OUTCOME.get(fields["outcome"].string_value if "outcome" in fields else "")
    if kind == "task.status_updated" and "changes" in fields:
        status = fields["changes"].struct_value.fields["status"].struct_value.fields["to"].string_value
        return _BY_STATUS.get(status)
    return _STYLES.get(kind)


@contextmanager
def _quiet_retries(session: Session) -> Iterator[None]:
    """Say once that the connection is broken, in place of a log line for each attempt."""
    import logging

    class Note(logging.Handler):
        told = False

        def emit(self, record: logging.LogRecord) -> None:
            if not self.told:
                session.out.note("the connection is broken; trying again until it is back")
            self.told = True

    log = logging.getLogger("orchestration")
    note, propagate = Note(logging.WARNING), log.propagate
    log.addHandler(note)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = propagate
        log.removeHandler(note)

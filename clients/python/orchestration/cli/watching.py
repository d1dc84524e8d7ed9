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
    "task.blocked": "yellow",
    "task.overdue": "red",
    "alert.raised": "red",
}


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
    """
    from orchestration.cli import times
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
            else:
                session.out.line(_line(session, event))


def _line(session: Session, event: Event) -> str:
    from orchestration.cli import sentences, times

    text = sentences.sentence(event)
    style = _STYLES.get(event.type.removeprefix("orchestration."))
    told = session.out.paint(text, style) if style else text
    return f"{session.out.paint(times.clock(event.occur_time), 'dim')}  {told}"


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

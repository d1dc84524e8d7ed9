"""`top`: who works on what in a sprint, since when, and what waits for whom; live."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.cli import arguments
from orchestration.cli.output import Answer, Output, Table, cut, one_line
from orchestration.cli.verb import Session, verb

if TYPE_CHECKING:
    from orchestration.v1.lease_pb2 import Lease
    from orchestration.v1.report_pb2 import GetSprintStatusReportResponse
    from orchestration.v1.task_pb2 import Task

_PAGE = 100
_CLEAR = "\x1b[H\x1b[J"
_OTHER_SCREEN, _FIRST_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_BAR = 20
_MOST_WAITING = 10


@dataclass(frozen=True)
class Snapshot:
    """What the server said at one moment."""

    report: GetSprintStatusReportResponse
    working: Sequence[Task]
    leases: dict[str, Lease]
    ready: Sequence[Task]
    more_ready: bool
    now: datetime


@verb
def top(
    session: Session,
    sprint: arguments.SprintCode,
    every: Annotated[float, typer.Option(min=0.2, max=3600, help="The seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one picture and end.")] = False,
) -> Answer | None:
    """Show a sprint live: who works on what, since when, lease left, what waits for whom. Ctrl-C ends it.

    In a pipe, and with --json, it prints one picture.
    """
    session.subject = sprint
    if once or not sys.stdout.isatty() or session.out.format != "table":
        found = look(session, sprint)
        return Answer(_document(found), picture(session.out, found), [task.code for task in found.working])
    sys.stdout.write(_OTHER_SCREEN)
    try:
        while True:
            _draw(session, sprint)
            time.sleep(every)
    finally:
        sys.stdout.write(_FIRST_SCREEN)
        sys.stdout.flush()


def _draw(session: Session, sprint: str) -> None:
    """Draw one picture, or the reason why there is none; the next look tries again."""
    import grpc

    from orchestration.cli import call_errors, exit_codes

    size = shutil.get_terminal_size((80, 24))
    try:
        lines = picture(session.out, look(session, sprint), size.columns)
    except grpc.RpcError as error:
        refusal = call_errors.explain(error, session)
        if refusal.code != exit_codes.UNAVAILABLE:
            raise
        lines = [session.out.paint(one_line(refusal.message, size.columns), "red"), "trying again …"]
    if len(lines) > size.lines - 1:
        lines = [*lines[: size.lines - 2], f"… and {len(lines) - size.lines + 2} more lines"]
    sys.stdout.write(_CLEAR + "\n".join(lines))
    sys.stdout.flush()


def look(session: Session, sprint: str) -> Snapshot:
    """Ask the server for all that a picture shows."""
    from orchestration.v1 import coordination_pb2, report_pb2, task_pb2
    from orchestration.v1.common_pb2 import TASK_STATUS_IN_PROGRESS

    client = session.client
    report = client.reports.GetSprintStatusReport(
        report_pb2.GetSprintStatusReportRequest(sprint_code=sprint, page_size=1)
    )
    working = client.tasks.ListTasks(
        task_pb2.ListTasksRequest(sprint_code=sprint, statuses=[TASK_STATUS_IN_PROGRESS], page_size=_PAGE)
    )
    wanted = {task.code for task in working.tasks}
    leases: dict[str, Lease] = {}
    request = coordination_pb2.ListLeasesRequest(page_size=500)
    # The leases of other sprints are passed over; ten pages are enough for any screen.
    for _ in range(10):
        page = client.coordination.ListLeases(request)
        leases |= {lease.task_code: lease for lease in page.leases if lease.task_code in wanted}
        request.page_token = page.next_page_token
        if not page.next_page_token or len(leases) == len(wanted):
            break
    ready = client.coordination.ListReadyTasks(
        coordination_pb2.ListReadyTasksRequest(sprint_code=sprint, page_size=5)
    )
    return Snapshot(
        report, list(working.tasks), leases, list(ready.tasks), bool(ready.next_page_token), datetime.now(UTC)
    )


def picture(out: Output, found: Snapshot, columns: int = 80) -> list[str]:
    """Return the lines of a picture, none wider than ``columns``."""
    from orchestration.cli import task_tables

    report = found.report
    percent = report.progress_percent
    full = round(_BAR * percent / 100)
    title = cut(f"{report.sprint.code}  {one_line(report.sprint.title)}", columns - _BAR - 30)
    lines = [
        f"{out.paint(title, 'bold')}  [{out.paint('#' * full, 'green')}{'-' * (_BAR - full)}]"
        f" {percent:.0f}% of {report.task_counts.total}  {found.now.astimezone():%H:%M:%S}",
        cut(task_tables.counts(report.task_counts), columns),
        "",
    ]
    working = Table(("AGENT", "TASK", "SINCE", "LEASE", "TITLE"))
    for task in found.working:
        working.add(*_row(task, found))
    lines += _fitted(out, working, columns) or ["nobody works"]
    if found.ready:
        more = ", …" if found.more_ready else ""
        codes = ", ".join(task.code for task in found.ready)
        lines += ["", cut(f"Ready: {codes}{more}", columns)]
    if report.blocked:
        lines += ["", f"Waiting ({report.blocked_total}):"]
        for one in report.blocked[:_MOST_WAITING]:
            line = cut(f"  {_waiting(one)}", columns)
            lines.append(line if one.blocked_by else out.paint(line, "yellow"))
        if report.blocked_total > _MOST_WAITING:
            lines.append(f"  … and {report.blocked_total - _MOST_WAITING} more")
    return lines


def _row(task: Task, found: Snapshot) -> tuple[str, ...]:
    from orchestration.cli import times

    lease = found.leases.get(task.code)
    title = one_line(task.title)
    if lease is None:
        return task.assignee or "-", task.code, times.since(task.update_time, found.now), "-", title
    left = (lease.expire_time.ToDatetime(UTC) - found.now).total_seconds()
    return (
        lease.agent or task.assignee or "-", task.code, times.since(lease.start_time, found.now),
        times.short(left) if left > 0 else "over", title,
    )  # fmt: skip


def _waiting(one: Any) -> str:
    reason = f": {one_line(one.reason)}" if one.reason else ""
    by = f" waits for {', '.join(one.blocked_by)}" if one.blocked_by else " is blocked"
    return f"{one.task.code}{by}{reason}"


def _fitted(out: Output, table: Table, columns: int) -> list[str]:
    """Return the lines of a table, cut before its colours are added."""
    if not table.rows:
        return []
    plain = Output.plain().table(table)
    return [out.paint(cut(plain[0], columns), "dim"), *(cut(line, columns) for line in plain[1:])]


def _document(found: Snapshot) -> dict[str, Any]:
    from orchestration.cli.documents import to_document

    report = to_document(found.report)
    return {
        "sprint": report["sprint"],
        "task_counts": report["task_counts"],
        "progress_percent": report["progress_percent"],
        "working": [
            {"task": to_document(task), "lease": to_document(lease) if lease else None}
            for task, lease in ((task, found.leases.get(task.code)) for task in found.working)
        ],
        "ready": [to_document(task) for task in found.ready],
        "more_ready": found.more_ready,
        "blocked": report["blocked"],
    }

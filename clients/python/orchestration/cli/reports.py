"""`report`, `stats` and `alerts`: where a sprint stands, what happens, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.cli import arguments, exit_codes
from orchestration.cli.output import Answer, Table, one_line, plural
from orchestration.cli.verb import Session, verb

if TYPE_CHECKING:
    from orchestration.v1.report_pb2 import GetSprintStatusReportResponse

_BAR = 30


@verb
def report(
    session: Session,
    sprint: arguments.SprintCode,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the report of the server in Markdown.")
    ] = False,
) -> Answer:
    """Show where a sprint stands: progress, what is blocked, and what is done a day."""
    from orchestration.cli.documents import to_document
    from orchestration.v1.report_pb2 import GetSprintStatusReportRequest

    session.subject = sprint
    request = GetSprintStatusReportRequest(sprint_code=sprint, include_markdown=markdown, page_size=200)
    found = session.client.reports.GetSprintStatusReport(request)
    lines = found.markdown.splitlines() if markdown else _report(session, found)
    return Answer(to_document(found), lines, [sprint])


def _report(session: Session, found: GetSprintStatusReportResponse) -> list[str]:
    from orchestration.cli import task_tables, times, words

    sprint, out = found.sprint, session.out
    status = words.word_of(task_tables.SPRINT_STATUS, sprint.status)
    full = round(_BAR * found.progress_percent / 100)
    bar = out.paint("#" * full, "green") + "-" * (_BAR - full)
    lines = [
        out.paint(f"{sprint.code}  {one_line(sprint.title)}", "bold") + f"  ({status})",
        f"[{bar}] {found.progress_percent:.0f}% of {plural(found.task_counts.total, 'task')}",
        task_tables.counts(found.task_counts),
    ]
    if found.blocked:
        lines += ["", f"Blocked ({found.blocked_total}):"]
        for one in found.blocked:
            why = f" by {', '.join(one.blocked_by)}" if one.blocked_by else ""
            reason = f": {one_line(one.reason)}" if one.reason else ""
            since = f" for {times.since(one.blocked_time)}" if one.HasField("blocked_time") else ""
            lines.append(f"  {one.task.code}{since}{why}{reason}")
        if found.blocked_total > len(found.blocked):
            lines.append(f"  and {found.blocked_total - len(found.blocked)} more")
    if found.HasField("oldest_in_progress"):
        old = found.oldest_in_progress
        age = times.since(found.oldest_in_progress_time)
        lines += ["", f"Longest in progress: {old.code}, {age}, {old.assignee or 'nobody assigned'}"]
    days = [day for day in found.throughput if day.completed]
    if days:
        lines += ["", "Completed: " + ", ".join(f"{day.completed} on {day.date[5:]}" for day in days[-7:])]
    open_ = [
        task for task in found.tasks if words.word_of(task_tables.TASK_STATUS, task.status) == "in_progress"
    ]
    if open_:
        lines += ["", "In progress:"]
        lines += [f"  {task.code}  {task.assignee or '-'}  {one_line(task.title, 60)}" for task in open_]
    return lines


@verb
def stats(
    session: Session,
    by: Annotated[str, typer.Option(help="type, hour, day, week, entity or actor.")] = "type",
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Since a time, such as 2h ago, written 2h.")
    ] = "7d",
    sprint: arguments.InSprint = "",
    limit: arguments.Limit = 20,
) -> Answer:
    """Count events by type, time, entity or actor."""
    from google.protobuf.timestamp_pb2 import Timestamp

    from orchestration.cli import times, words
    from orchestration.cli.documents import to_document
    from orchestration.v1.event_pb2 import EventGrouping, GetEventStatsRequest

    start = Timestamp()
    start.FromDatetime(times.moment(since, past=True))
    request = GetEventStatsRequest(
        group_by=words.number_of(EventGrouping.DESCRIPTOR, by),
        sprint_code=sprint,
        start_time=start,
        limit=limit,
    )
    found = session.client.events.GetEventStats(request)
    table = Table(("EVENTS", by.upper()))
    for count in found.counts:
        key = count.key or (times.clock(count.start_time) if count.HasField("start_time") else "-")
        table.add(str(count.count), one_line(key))
    lines = [
        *session.out.table(table),
        f"{plural(found.total, 'event')} since {times.clock(found.start_time)}",
    ]
    return Answer(to_document(found), lines, [one.key for one in found.counts])


@verb
def alerts(
    session: Session,
    all_: Annotated[bool, typer.Option("--all", help="Include those that are resolved.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if an alert fires.")] = False,
    limit: arguments.Limit = 50,
) -> Answer:
    """List the alerts that fire, with what to do."""
    from orchestration.cli import times, words
    from orchestration.cli.documents import to_document
    from orchestration.v1 import admin_pb2 as pb

    page = session.client.admin.ListAlerts(
        pb.ListAlertsRequest(include_resolved=all_, page_size=min(limit, 500))
    )
    lines = []
    for one in page.alerts:
        state = words.word_of(pb.AlertState.DESCRIPTOR, one.state)
        severity = words.word_of(pb.AlertSeverity.DESCRIPTOR, one.severity)
        about = f" {one.subject}" if one.subject else ""
        head = f"{severity} {one.alert}{about}, {state} since {times.clock(one.begin_time)}"
        lines.append(session.out.paint(one_line(head), "red" if severity == "critical" else "yellow"))
        lines.append(f"  {one_line(one.summary)}")
        lines += [f"  fix: {one_line(one.action)}"] if one.action else []
    if page.next_page_token:
        lines.append("there are more; --limit lists more")
    firing = any(one.state == pb.ALERT_STATE_FIRING for one in page.alerts)
    document = {"alerts": [to_document(one) for one in page.alerts], "more": bool(page.next_page_token)}
    return Answer(
        document,
        lines or ["no alerts"],
        [one.alert for one in page.alerts],
        exit_codes.NO if check and firing else 0,
    )

"""The names in an agent's day, and the events and files that it must leave."""

from __future__ import annotations

SPRINT, TASK, SESSION = "logins", "logins-1-reproduce", "morning"
OTHER_TASKS = ["logins-1-fix", "logins-1-verify", "logins-release", "logins-causes"]

# The day in the log: type, entity and agent of each event. Events of files are listed apart.
STORY = [
    ("sprint.created", SPRINT, "lead"),
    ("sprint.generated", SPRINT, "lead"),
    *((what, code, "lead") for code in (TASK, *OTHER_TASKS) for what in ("task.created", "task.generated")),
    ("task.dependency_added", "logins-1-fix", "lead"),
    ("task.dependency_added", "logins-1-verify", "lead"),
    ("task.dependency_added", "logins-release", "lead"),
    ("task.dependency_added", "logins-causes", "lead"),
    ("sprint.status_changed", SPRINT, "lead"),
    ("announcement.made", SPRINT, "orchestration.automation"),
    ("task.assigned", TASK, "lead"),
    ("task.updated", TASK, "lead"),
    ("session.started", SESSION, "ann"),
    ("task.status_updated", TASK, "ann"),
    ("activity.logged", TASK, "ann"),
    ("task.blocked", TASK, "ann"),
    ("notice.raised", TASK, "orchestration.automation"),
    ("session.paused", SESSION, "ann"),
    ("session.resumed", SESSION, "bob"),
    ("task.assigned", TASK, "bob"),
    ("task.unblocked", TASK, "bob"),
    ("adr.created", "ADR-0001", "bob"),
    ("bug_report.created", "BUG-0001", "bob"),
    ("bug_report.seen_again", "BUG-0001", "bob"),
    ("task.status_updated", TASK, "bob"),
    ("session.closed", SESSION, "bob"),
    *(("task.status_updated", code, "lead") for code in OTHER_TASKS),
    ("sprint.status_changed", SPRINT, "orchestration.automation"),
]

# The files that a person reads, with placeholders for values that only the ledger knows.
SPRINT_FILE = """---
format: 1
sprint: logins
title: Logins
status: completed
owner: ''
start_date: ''
end_date: ''
metadata:
  kind: bug-fix
create_time: '{created}'
update_time: '{updated}'
uid: "{uid}"
revision: 3
hash: {hash}
---

# Logins

## Goal

Fixed, with a test each: Nobody can log in
"""
TASK_FILE = """---
format: 1
task: logins-1-reproduce
title: 'Reproduce: Nobody can log in'
sprint: logins
status: completed
priority: P1
phase: reproduce
assignee: bob
labels:
  - bug
  - reproduce
depends_on: []
metadata:
  bug: Nobody can log in
create_time: '{created}'
update_time: '{updated}'
uid: "{uid}"
revision: 7
hash: {hash}
links: ''
---

# Reproduce: Nobody can log in

## Deliverables

- A test that fails because of the bug, and for no other reason

## Acceptance criteria

- It is known since when the bug is there, and who is affected

## Description

Find the smallest case that shows the bug, and write it down as a test that fails.
"""
DECISION_FILE = """# ADR-0001: Keys rotate

- Status: accepted
- Date: {date}
- Author: bob
- Sprint: logins
- Task: logins-1-reproduce

## Context

Old keys were still in use.

## Decision

Keys rotate every day.

## Consequences

None were given.
"""
BUG_FILE = """# BUG-0001: Login answers 500

- Severity: high
- Reporter: bob
- Seen: {seen}
- Sprint: logins
- Task: logins-1-reproduce

## Error

    KeyError: 'kid'
"""

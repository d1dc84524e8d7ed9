-- Documents: decisions and bug reports. They are never deleted, so the next number is the highest plus one. The
-- writer that takes it holds the project's lock for it.
create table adrs (
    project     text not null,
    number      integer not null,
    code        text not null,
    revision    bigint not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    body        bytea not null,         -- the serialized orchestration.v1.Adr
    primary key (project, number),
    unique (project, code)
);

create table bug_reports (
    project     text not null,
    number      integer not null,
    code        text not null,
    fingerprint bytea not null,         -- SHA-256, the same for each report of one bug
    revision    bigint not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    body        bytea not null,         -- the serialized orchestration.v1.BugReport
    primary key (project, number),
    unique (project, code),
    unique (project, fingerprint)
) with (fillfactor = 85);

-- For reports: the last change of a task's status, and the completions of a sprint. The indexes are partial, so
-- other events do not write them.
create index events_of_task_status on events
    (hashtextextended(project || '/' || entity_code, 0), epoch, xid, seq)
    where type in ('orchestration.task.status_updated', 'orchestration.task.blocked',
        'orchestration.task.unblocked');
create index events_of_sprint_progress on events
    (hashtextextended(project || '/' || sprint_code, 0), occur_time)
    where type = 'orchestration.task.status_updated' and sprint_code <> '';

-- Schedules: what a caller defines is in body, and what firing changes is in columns.
create table schedules (
    project     text not null,
    code        text not null,
    revision    bigint not null,        -- counts the changes of the definition, not the firings
    next_time   timestamptz,            -- fires next; null if the schedule is paused or deleted
    last_time   timestamptz,            -- the last time that fired, failed or was skipped
    last_kind   smallint not null default 0,    -- what was created last: 1 a sprint, 2 a task, 0 nothing yet
    last_code   text not null default '',
    last_error  bytea,                  -- the serialized orchestration.v1.ScheduleError; null after a success
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    body        bytea not null,         -- the serialized orchestration.v1.Schedule, without what the columns have
    primary key (project, code)
);
create index schedules_due on schedules (next_time) where next_time is not null;
create index schedules_by_code on schedules (project, code) where delete_time is null;

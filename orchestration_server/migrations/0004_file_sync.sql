-- The file outbox: one row for each entity whose files are to be written, whatever the number of changes.
create table file_outbox (
    project           text not null,
    kind              text not null,        -- sprint, task, adr, bug_report
    code              text not null,
    correlation_id    text not null,        -- of the call that asked last
    generation        bigint not null default 1,    -- counts the askings: what came after the reading stays queued
    claim             uuid,                 -- whoever works on it; until next_attempt_time, when others may
    attempts          integer not null default 0,   -- failures in a row
    last_error        text not null default '',
    queue_time        timestamptz not null default now(),
    next_attempt_time timestamptz not null default now(),
    primary key (project, kind, code)
);
create index file_outbox_due on file_outbox (next_attempt_time);

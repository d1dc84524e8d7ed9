-- The ledger: log_state, which has one row, sprints, tasks, dependencies, requests and the event log.

create table log_state (
    one        boolean primary key default true check (one),
    secret     bytea  not null,     -- signs cursors and page tokens: those of another log are refused
    epoch      integer not null,    -- the current log epoch
    nonce      bytea  not null,     -- tells that epoch from the one of this number in another copy of the log
    cluster    text   not null      -- the cluster's system identifier when that epoch began
);

-- Past epochs with their last transaction id. A cursor beyond it belongs to another copy of the log.
create table log_epochs (
    epoch    integer primary key,
    nonce    bytea not null,
    last_xid xid8 not null
);

-- Deleted rows stay. A lookup by code must not have "delete_time is null" in its where clause: without
-- statistics the planner would use a partial index for it and skip through that.
create table sprints (
    project     text not null,
    code        text not null,
    status      smallint not null,
    owner       text not null,
    revision    bigint not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    body        bytea not null,     -- the serialized orchestration.v1.Sprint
    primary key (project, code)
);
create index sprints_by_age on sprints (project, create_time desc, code desc) where delete_time is null;

create table tasks (
    project     text not null,
    code        text not null,
    sprint_code text not null,
    status      smallint not null,
    priority    smallint not null,
    assignee    text not null,
    labels      text[] not null,
    revision    bigint not null,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    body        bytea not null,     -- the serialized orchestration.v1.Task
    primary key (project, code)
) with (fillfactor = 85);
create index tasks_by_age on tasks (project, create_time desc, code desc) where delete_time is null;
create index tasks_by_priority on tasks (project, priority, create_time, code) where delete_time is null;
create index tasks_of_sprint on tasks (project, sprint_code, priority, create_time, code)
    where delete_time is null and sprint_code <> '';
create index tasks_of_assignee on tasks (project, assignee, create_time desc, code desc)
    where delete_time is null and assignee <> '';
create index tasks_by_label on tasks using gin (labels) where delete_time is null and labels <> '{}';
create index tasks_pending on tasks (project, priority, create_time, code)
    where status = 1 and delete_time is null;

create table dependencies (
    project         text not null,
    task_code       text not null,
    depends_on_code text not null,
    kind            smallint not null,  -- 1 blocks, 2 parent-child, 3 discovered-from, 4 related
    create_time     timestamptz not null,
    primary key (project, task_code, depends_on_code, kind)
);
create index dependencies_reverse on dependencies (project, depends_on_code, task_code) where kind = 1;

-- Returns whether a link may be written: both tasks exist, and a blocking link closes no cycle. Each statement
-- of a volatile function has its own snapshot, so this sees what others committed while the calling statement
-- waited for the locks. ``locked`` makes it run after that wait.
create function ledger_may_link(of text, task text, depends_on text, blocks boolean, locked bigint)
returns boolean language plpgsql volatile as $$
begin
    return (
        select count(*) filter (where t.delete_time is null) = 2 from tasks t
        where t.project = of and t.code in (task, depends_on)
    ) and not (blocks and exists (
        with recursive walk (code) as (
            select depends_on
          union
            select d.depends_on_code from walk w
            join dependencies d on d.project = of and d.task_code = w.code and d.kind = 1
        )
        select from walk where walk.code = task));
end
$$;

-- The response to each request_id, stored for 24 hours.
create table requests (
    project     text not null,
    rpc         text not null,
    request_id  text not null,
    fingerprint bytea not null,
    response    bytea not null,
    create_time timestamptz not null default now(),
    primary key (project, rpc, request_id)
);
create index requests_by_age on requests (create_time);

-- Keys that make a caller's event unique in its project for ever, even if retention deletes the event.
create table event_keys (
    project   text not null,
    dedup_key text not null,
    event_id  uuid not null,
    primary key (project, dedup_key)
);

-- The event log. One partition has the events that are kept for ever, the others are months of emit_time.
create sequence event_seq;
create table events (
    kept           boolean not null,
    epoch          integer not null,
    xid            xid8 not null default pg_current_xact_id(),
    seq            bigint not null default nextval('event_seq'),
    project        text not null,
    event_id       uuid not null,
    type           text not null,
    entity_type    smallint not null,
    entity_code    text not null,
    sprint_code    text not null,
    priority       smallint not null,
    correlation_id text not null,
    session_key    text not null,
    actor          text not null,       -- the event's actor, else its agent
    occur_time     timestamptz not null,
    emit_time      timestamptz not null,
    body           bytea not null       -- the serialized orchestration.v1.Event, without its cursor
) partition by list (kept);
create table events_kept partition of events for values in (true);
create table events_rest partition of events for values in (false) partition by range (emit_time);

create index events_log on events (project, epoch, xid, seq);
create index events_by_id on events (event_id);
create index events_by_emit on events (project, emit_time);
create index events_by_time on events (project, occur_time, seq);
-- These indexes have hashes of the texts. They have half the size, and inserts are 1.3 to 1.7 times as fast. A
-- query compares both the hash and the text. Fields that timelines filter by have an index in log order, and
-- fields with many events a key also one by occur_time (orchestration_server/store/event_queries.py).
create index events_of_entity on events
    (hashtextextended(project || '/' || entity_type || '/' || entity_code, 0), epoch, xid, seq)
    where entity_type <> 0;
create index events_of_session on events
    (hashtextextended(project || '/' || session_key, 0), epoch, xid, seq) where session_key <> '';
create index events_of_correlation on events
    (hashtextextended(project || '/' || correlation_id, 0), epoch, xid, seq);
create index events_of_sprint on events
    (hashtextextended(project || '/' || sprint_code, 0), epoch, xid, seq) where sprint_code <> '';
create index events_of_sprint_by_time on events
    (hashtextextended(project || '/' || sprint_code, 0), occur_time, seq) where sprint_code <> '';
create index events_of_type on events
    (hashtextextended(project || '/' || type, 0), epoch, xid, seq);
create index events_of_type_by_time on events
    (hashtextextended(project || '/' || type, 0), occur_time, seq);

-- Raises the ledger's own SQLSTATE if the rows of a write are not as expected. The write is rolled back.
create function ledger_expect(counted bigint, expected bigint) returns bigint language plpgsql as $$
begin
    if counted is distinct from expected then
        raise exception 'the rows changed meanwhile' using errcode = 'OL001';
    end if;
    return counted;
end
$$;

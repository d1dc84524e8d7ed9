-- Sessions: an agent's work on one task or sprint. They are never deleted, and a key is used once.

-- The body has no last_activity_time, which is written often, without an event or a new revision. No index has
-- it, so such a write touches only the row.
create table sessions (
    project            text not null,
    key                text not null,
    status             smallint not null,   -- 1 active, 2 paused, 3 completed
    agent              text not null,
    target_type        smallint not null,   -- 1 a sprint, 2 a task
    target_code        text not null,
    correlation_id     text not null,
    last_activity_time timestamptz not null,
    revision           bigint not null,
    create_time        timestamptz not null,
    update_time        timestamptz not null,
    body               bytea not null,      -- the serialized orchestration.v1.Session
    primary key (project, key)
) with (fillfactor = 85);
-- A partial index serves only queries that repeat its condition, so each kind of query has its own.
create index sessions_by_age on sessions (project, create_time desc, key desc);
create index sessions_open on sessions (project, create_time desc, key desc) where status < 3;
create index sessions_of_agent on sessions (project, agent, create_time desc, key desc) where agent <> '';
create index sessions_open_of_agent on sessions (project, agent, create_time desc, key desc)
    where status < 3 and agent <> '';
create index sessions_of_target on sessions (project, target_type, target_code, create_time desc, key desc)
    where target_code <> '';
-- For the session that an agent resumes on a target.
create index sessions_to_resume on sessions
    (project, target_type, target_code, agent, create_time desc, key desc) where status < 3;

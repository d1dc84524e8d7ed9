-- Keys of the API. The row of a revoked key stays, so the first key closes the ledger for good: it does not become
-- open again when its last key is revoked.
create table api_keys (
    id                text primary key,         -- stands in the key itself, in the open
    digest            bytea not null,           -- SHA-256 of the whole key, which holds 256 random bits
    name              text not null,
    project           text not null,            -- '*' is all of them
    role              smallint not null,        -- 1 reader, 2 agent, 3 admin
    session_key       text not null default '', -- the session that it is held to
    sprint_code       text not null default '', -- the sprint that it is held to
    per_minute        integer,                  -- calls; null is what the server's settings say
    events_per_minute integer,
    create_time       timestamptz not null default now(),
    expire_time       timestamptz,
    last_used_time    timestamptz,              -- to about a minute
    revoke_time       timestamptz,
    check (session_key = '' or sprint_code = '')
);

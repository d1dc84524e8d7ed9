-- Alerts: the figures of each server, the last evaluation, and the alerts.

-- One row for each server process, written every few seconds. A crash of Postgres empties it, and servers refill it.
create unlogged table server_figures (
    server         uuid primary key,
    update_time    timestamptz not null,
    queue_events   bigint not null,     -- events that wait to be stored
    calls          bigint not null,     -- of the last five minutes, as all that follows
    errors         bigint not null,     -- calls that ended in a fault of the server's
    context_bounds bigint[] not null,   -- upper bounds of the latencies of assembled contexts, in microseconds
    context_counts bigint[] not null    -- how many stand below each, and not below the one before
) with (fillfactor = 50);

-- The last evaluation, by any of the servers.
create table alert_evaluation (
    one                      boolean primary key default true check (one),
    evaluate_time            timestamptz not null,
    session_idle_seconds_max double precision not null  -- of the active session that has been idle longest
) with (fillfactor = 50);
insert into alert_evaluation values (true, to_timestamp(0), 0);

create table alerts (
    id           uuid primary key,
    alert        text not null,         -- the name of its rule
    project      text not null,         -- where its events stand; of an alert about the whole ledger 'default'
    subject      text not null,         -- an agent or a session's key; empty where it is about the whole ledger
    state        smallint not null,     -- 1 firing, 2 pending, 3 resolved
    severity     smallint not null,     -- 1 critical, 2 warning
    value        double precision not null,
    threshold    double precision not null,
    unit         text not null,
    summary      text not null,
    action       text not null,
    begin_time   timestamptz not null,  -- since when it has held
    fire_time    timestamptz,
    resolve_time timestamptz
) with (fillfactor = 85);
-- A subject has an alert only once at a time, even if several servers evaluate.
create unique index alerts_active on alerts (alert, project, subject) where state < 3;
create index alerts_by_state on alerts (state, begin_time desc, id desc);
create index alerts_resolved on alerts (resolve_time) where state = 3;

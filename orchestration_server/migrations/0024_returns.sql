-- The time since which the ledger's Postgres is the one that its servers reach: its start, or a standby's promotion.

alter table log_state
    add node text not null default '',                              -- the start time of the Postgres, as text
    add back_time timestamptz not null default '-infinity';         -- when a server first reached this Postgres

-- Returns whether a lease is valid. Holders could not beat while the database was away: after its return, every lease
-- that was not ended gets up to 30 seconds for a heartbeat. Each connection of a server has the time of the return in a
-- setting, since a read of log_state here would keep Postgres from inlining the function.
create or replace function ledger_lease_valid(expire_time timestamptz, seconds real, deadline timestamptz)
returns boolean language sql volatile as $$
    select case
        when expire_time = '-infinity' or deadline <= clock_timestamp() then false
        else greatest(expire_time,
            least(greatest(pg_postmaster_start_time(),
                nullif(current_setting('orchestration.back_time', true), '')::timestamptz), clock_timestamp())
            + make_interval(secs => least(seconds, 30))) > clock_timestamp()
    end
$$;

-- The archive: a second parent table, to which a month of the log is moved as a partition. Its bounds are those of
-- months, or an exact day that split one. archive_time is the same in a whole partition, so setting it rewrites
-- nothing.
create table archived_events (
    like events including indexes,
    archive_time timestamptz not null,
    constraint archived_not_kept check (not kept and priority not in (1, 2))    -- P0 and P1 stay
) partition by range (emit_time);

-- The last archived event of each project, and the last deleted one. A reader with a position before it has missed
-- events. A reader that continues sees by moves whether more events went since it began.
create table archive_edges (
    project text not null,
    deleted boolean not null,
    epoch   integer not null,
    xid     xid8 not null,
    seq     bigint not null,
    upto    timestamptz not null,   -- what was recorded at or after this is not concerned
    moves   bigint not null default 1,
    primary key (project, deleted)
) with (fillfactor = 50);           -- changes in place with each chunk that is moved

-- Events that are kept for ever cannot be deleted. They cannot become events that are not kept either, which is a
-- delete and an insert. Archived events are deleted only with their partition.
create function ledger_keep() returns trigger language plpgsql as $$
begin
    raise exception 'events of P0 and P1 are kept for ever, and archived ones go with their partition alone'
        using errcode = 'OL003';
end
$$;
create trigger events_kept_stay before delete on events_kept for each row execute function ledger_keep();
create trigger events_kept_whole before truncate on events_kept execute function ledger_keep();
create trigger archived_events_stay before update or delete on archived_events
    for each row execute function ledger_keep();
create trigger archived_events_whole before truncate on archived_events execute function ledger_keep();

create function ledger_move_edge(
    of text, of_deleted boolean, to_epoch integer, to_xid xid8, to_seq bigint, to_time timestamptz
) returns void language sql as $$
    insert into archive_edges as a (project, deleted, epoch, xid, seq, upto)
    values (of, of_deleted, to_epoch, to_xid, to_seq, to_time)
    on conflict (project, deleted) do update set
        moves = a.moves + 1,
        upto = greatest(a.upto, excluded.upto),
        (epoch, xid, seq) = (
            select last.epoch, last.xid, last.seq
            from (values (a.epoch, a.xid, a.seq), (excluded.epoch, excluded.xid, excluded.seq))
                as last (epoch, xid, seq)
            order by last.epoch desc, last.xid desc, last.seq desc limit 1)
$$;

-- Returns the last event of each project in a partition. The query skips from one project to the next.
create function ledger_last_events(part regclass)
returns table (project text, epoch integer, xid xid8, seq bigint) language plpgsql as $$
begin
    return query execute format('
        with recursive projects as (
            (select e.project from %1$s e order by e.project limit 1)
            union all
            select (select e.project from %1$s e where e.project > p.project order by e.project limit 1)
            from projects p where p.project is not null
        )
        select last.* from projects p cross join lateral (
            select e.project, e.epoch, e.xid, e.seq from %1$s e where e.project = p.project
            order by e.epoch desc, e.xid desc, e.seq desc limit 1
        ) last
        where p.project is not null', part);
end
$$;

-- Adds the CHECKs that a partition needs before it can move, not valid yet. The first lock blocks no session, and
-- ends an autovacuum of the partition after a second. The lock that blocks others comes after it.
create function ledger_add_bounds(part regclass, lower timestamptz, upper timestamptz, bounds text)
returns void language plpgsql as $$
begin
    perform set_config('lock_timeout', '5s', true);
    execute format('lock table %s in share update exclusive mode', part);
    perform set_config('lock_timeout', '100ms', true);
    execute format('alter table %1$s
        drop constraint if exists archived_not_kept, drop constraint if exists %2$I,
        add constraint archived_not_kept check (not kept and priority not in (1, 2)) not valid,
        add constraint %2$I check (emit_time >= %3$L and emit_time < %4$L) not valid',
        part, bounds, lower, upper);
end
$$;

-- Moves a partition of the log to the archive, in a single statement, so no lock waits for the client. All of it
-- commits or none. It fails if a CHECK of the bounds is not validated, since Postgres would validate it here while
-- all writers wait.
--
-- The first lock blocks no session, and ends an autovacuum of the partition after a second. The blocking locks
-- follow, each with a short timeout. The lock that every insert needs comes last, so a long reader of the partition
-- is met before it. All locks are held before anything changes, so a query over both parents finds the partition
-- below exactly one of them, in whatever order it locks them.
create function ledger_archive_part(part regclass, lower timestamptz, upper timestamptz, bounds text, name text)
returns void language plpgsql as $$
begin
    perform set_config('lock_timeout', '5s', true);
    execute format('lock table %s in share update exclusive mode', part);
    perform ledger_move_edge(l.project, false, l.epoch, l.xid, l.seq, upper) from ledger_last_events(part) l;
    perform set_config('lock_timeout', '100ms', true);
    execute format('lock table only archived_events, %s, only events_rest in access exclusive mode', part);
    if (select count(*) from pg_constraint
        where conrelid = part and convalidated and conname in ('archived_not_kept', bounds)) <> 2 then
        raise exception 'the bounds of % are not checked', part using errcode = 'OL004';
    end if;
    execute format('alter table events_rest detach partition %s', part);
    execute format('alter table %s add column archive_time timestamptz not null default %L', part, now());
    execute format('alter table %s alter column archive_time drop default', part);
    execute format('alter table archived_events attach partition %s for values from (%L) to (%L)',
        part, lower, upper);
    execute format('alter table %s rename to %I', part, name);
end
$$;

-- Moves the oldest events of a project and partition that were recorded in a part of its time. Returns their number
-- and the time of the last one. One statement deletes and inserts them, so a crash loses nothing, and the commit
-- need not wait for the disk.
create function ledger_archive_chunk(
    part regclass, of text, since timestamptz, before timestamptz, size bigint, out moved bigint, out upto timestamptz
) language plpgsql as $$
declare
    last record;
begin
    perform set_config('synchronous_commit', 'off', true);
    execute format('
        with gone as (
            delete from %1$s where ctid = any(array(
                select ctid from %1$s where project = $1 and emit_time >= $2 and emit_time < $3
                order by emit_time limit $4))
            returning *
        ), archived as (
            insert into archived_events (kept, epoch, xid, seq, project, event_id, type, entity_type, entity_code,
                sprint_code, priority, correlation_id, session_key, actor, occur_time, emit_time, body, archive_time)
            select kept, epoch, xid, seq, project, event_id, type, entity_type, entity_code,
                sprint_code, priority, correlation_id, session_key, actor, occur_time, emit_time, body, now()
            from gone
        )
        select epoch, xid, seq, count(*) over () as moved, max(emit_time) over () as upto
        from gone order by epoch desc, xid desc, seq desc limit 1', part)
    into last using of, since, before, size;
    moved := coalesce(last.moved, 0);
    upto := last.upto;
    if moved > 0 then
        perform ledger_move_edge(of, false, last.epoch, last.xid, last.seq, before);
    end if;
end
$$;

-- Deletes a partition of the archive.
create function ledger_delete_archived(part regclass, upper timestamptz) returns void language plpgsql as $$
begin
    perform set_config('lock_timeout', '5s', true);
    execute format('lock table %s in share update exclusive mode', part);
    perform ledger_move_edge(l.project, true, l.epoch, l.xid, l.seq, upper) from ledger_last_events(part) l;
    perform set_config('lock_timeout', '100ms', true);
    execute format('lock table only archived_events, %s in access exclusive mode', part);
    execute format('drop table %s', part);
end
$$;

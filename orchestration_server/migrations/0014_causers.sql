-- The causer of an event: the calling agent, and the scope of its key. scopes is empty if the caller has no scope,
-- else a JSON array of scopes (orchestration_server/codec/causers.py). A constant default rewrites no partition.
alter table events add column agent text not null default '', add column scopes text not null default '';
alter table archived_events add column agent text not null default '', add column scopes text not null default '';
alter table held_changes add column scopes text not null default '';

-- The function of 0010_archive.sql with the new columns.
create or replace function ledger_archive_chunk(
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
                sprint_code, priority, correlation_id, session_key, actor, occur_time, emit_time, body, agent, scopes,
                archive_time)
            select kept, epoch, xid, seq, project, event_id, type, entity_type, entity_code,
                sprint_code, priority, correlation_id, session_key, actor, occur_time, emit_time, body, agent, scopes,
                now()
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

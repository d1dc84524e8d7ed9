-- Pending changes: changes of a status that are logged once the status is stable. Each row is written with its
-- change, and deleted with the event that logs it.
create table held_changes (
    project        text not null,
    entity_type    smallint not null,
    entity_code    text not null,
    revision       bigint not null,
    stable_time    timestamptz not null,    -- told at the last of an entity's steps' times,
    latest_time    timestamptz not null,    -- or at the first of these, whichever is sooner
    correlation_id text not null,
    body           bytea not null,          -- the serialized orchestration.v1.Event that tells of this step alone
    primary key (project, entity_type, entity_code, revision)
);
-- Rows are short-lived. VACUUM has to remove dead ones before the query of due changes reads many of them.
alter table held_changes set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Rejects an event of an entity whose pending changes must be logged first.
create function ledger_none_held(counted bigint) returns bigint language plpgsql as $$
begin
    if counted > 0 then
        raise exception 'changes of the entity are held' using errcode = 'OL002';
    end if;
    return counted;
end
$$;

-- Counts of sampled events by the minute of occur_time, and by the hour once they are old. Statistics include them.
-- The row at -infinity has the total of the project, which is a version.
create table sampled_out (
    project     text not null,
    minute      timestamptz not null,
    type        text not null,
    actor       text not null,
    entity_type smallint not null,
    entity_code text not null,
    sprint_code text not null,
    count       bigint not null,
    folded      boolean not null default false,     -- whether it is by the hour
    primary key (project, minute, type, actor, entity_type, entity_code, sprint_code)
) with (fillfactor = 80);           -- a minute's counts change in place while it runs
create index sampled_out_to_fold on sampled_out (minute) where not folded;

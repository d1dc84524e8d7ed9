-- Changes of a status that are told of once the status has been stable for a while: a row a step, written with
-- the change, taken away with the event that tells of it.
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
-- Rows come and go: the dead ones are to be gone before a look for what is due reads many of them.
alter table held_changes set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Refuses an event of an entity whose held changes have to be told of first.
create function ledger_none_held(counted bigint) returns bigint language plpgsql as $$
begin
    if counted > 0 then
        raise exception 'changes of the entity are held' using errcode = 'OL002';
    end if;
    return counted;
end
$$;

-- Events that sampling left out, by the minute of occur_time, and by the hour once they are old: statistics count
-- them as if they were there. The row at -infinity is all of a project's: whether there are more than there were.
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

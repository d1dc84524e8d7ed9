-- Counts of a project's events by the hour of occur_time, up to the position of the reader 'rollups'.
create table event_rollups (
    project   text not null,
    dimension smallint not null,    -- what the key is: 0 nothing, 1 a type, 2 an actor
    hour      timestamptz not null,
    key       text not null,
    count     bigint not null,
    primary key (project, dimension, hour, key)
) with (fillfactor = 80);           -- an hour's counts change in place while it runs

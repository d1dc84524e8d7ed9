-- What one process of all measures of the ledger now and then, for the metrics of each and for GetStorageStats.
create table measurements (
    name         text primary key,  -- storage, workspace
    measure_time timestamptz not null,
    body         bytea not null     -- the serialized orchestration.v1.StorageStats or WorkspaceStats
);

-- How many rows a table has: counted where it is no larger than so many bytes; else as the planner has it, which is
-- the density that the last vacuum or analyze found, at the size of now.
create function ledger_rows(of regclass, most_bytes bigint, out counted bigint, out exact boolean)
language plpgsql stable as $$
declare
    size bigint := pg_relation_size(of);
begin
    exact := size <= most_bytes;
    if exact then
        execute format('select count(*) from only %s', of) into counted;
    else
        select case when c.reltuples >= 0 and c.relpages > 0
                then round(c.reltuples::float8 / c.relpages * (size / current_setting('block_size')::bigint))
                else pg_stat_get_live_tuples(of) end
        from pg_class c where c.oid = of into counted;
    end if;
end
$$;

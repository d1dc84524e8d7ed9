-- Measurements of the ledger, which one process makes for the metrics of all and for GetStorageStats.
create table measurements (
    name         text primary key,  -- storage, workspace
    measure_time timestamptz not null,
    body         bytea not null     -- the serialized orchestration.v1.StorageStats or WorkspaceStats
);

-- Returns the number of a table's rows. A table of at most so many bytes is counted. A larger one is estimated like
-- the planner does: from the density at the last VACUUM or ANALYZE and the present size.
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

-- Plans that do not go by the statistics of a moment.

-- A task may block nearly all others, or wait for nearly all. ANALYZE then finds that a code stands for most rows, and
-- Postgres reads the whole table to look up any other.
alter table dependencies alter column task_code set (n_distinct = -0.5);
alter table dependencies alter column depends_on_code set (n_distinct = -0.5);
alter table attempts alter column task_code set (n_distinct = -0.5);

-- As before, but each task is found by its key. A plan that was made while few tasks were pending read all pending tasks
-- for each code.
create or replace function ledger_queue(projects text[], codes text[]) returns void language plpgsql volatile as $$
begin
    insert into ready_queue as q (project, task_code, priority, create_time, sprint_code, labels, capabilities,
        wake_time)
    select c.project, c.code, t.priority, t.create_time, t.sprint_code, t.labels, t.capabilities,
        case when greatest(t.not_before, t.retry_time) > clock_timestamp()
            then greatest(t.not_before, t.retry_time) end
    from (select distinct c.project, c.code from unnest(projects, codes) as c (project, code) offset 0) c
    cross join lateral (
        select t.* from tasks t
        where t.project = c.project and t.code = c.code and case when t.status = 1 then t.delete_time is null end
        offset 0
    ) t
    order by c.project, c.code
    on conflict (project, task_code) do update set priority = excluded.priority,
        create_time = excluded.create_time, sprint_code = excluded.sprint_code, labels = excluded.labels,
        capabilities = excluded.capabilities, wake_time = excluded.wake_time, generation = excluded.generation,
        doubt = null;
end
$$;

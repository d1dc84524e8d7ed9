-- A blocker that ended, and of whose dependents some are not in the queue yet: more than 1,000 waited for it. They
-- follow in slices, each in a transaction of its own, so none is long. Claims that find nothing else put them in, and so
-- does a background service.
create table freed_dependents (
    project     text not null,
    blocker     text not null,
    after_code  text not null,          -- the dependents up to this code are in the queue
    create_time timestamptz not null default clock_timestamp(),
    primary key (project, blocker)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Puts the next dependents of one blocker into the queue, and returns their number. Another session that does the same
-- is waited for. A dependent that is no longer ready does no harm there: each claim asks ledger_unready.
create function ledger_queue_freed(of text, slice bigint) returns bigint language plpgsql volatile as $$
declare
    freed freed_dependents;
    codes text[];
begin
    select * into freed from freed_dependents f where f.project = of order by f.create_time, f.blocker limit 1
        for update;
    if freed is null then
        return 0;
    end if;
    select array_agg(d.task_code order by d.task_code) into codes from (
        select distinct d.task_code from dependencies d
        where d.project = freed.project and d.depends_on_code = freed.blocker and d.kind = 1
            and d.task_code > freed.after_code
        order by d.task_code limit slice) d;
    if codes is not null then
        perform ledger_queue(array_fill(freed.project, array[cardinality(codes)]), codes);
    end if;
    if coalesce(cardinality(codes), 0) < slice then
        delete from freed_dependents where project = freed.project and blocker = freed.blocker;
    else
        update freed_dependents set after_code = codes[cardinality(codes)]
        where project = freed.project and blocker = freed.blocker;
    end if;
    return coalesce(cardinality(codes), 0);
end
$$;

-- As before, but a writer that says so by the setting ledger.slices leaves the dependents of a blocker that has more
-- than 1,000 to ledger_queue_freed. Servers of an earlier release do not say it, and put all of them in at once.
-- The rows of freed_dependents are locked before those of the queue, as ledger_queue_freed does.
create or replace function ledger_tasks_changed() returns trigger language plpgsql as $$
declare
    projects text[];
    codes    text[];
    most     bigint := case when current_setting('ledger.slices', true) = 'on' then 1000 end;
begin
    if most is not null then
        insert into freed_dependents (project, blocker, after_code)
        select n.project, n.code, '' from after n join before o on o.project = n.project and o.code = n.code
        where o.status in (1, 2, 3) and o.delete_time is null
            and (n.status not in (1, 2, 3) or n.delete_time is not null)
            and (select count(*) from (
                select from dependencies d
                where d.project = n.project and d.depends_on_code = n.code and d.kind = 1 limit most + 1) d) > most
        order by n.project, n.code
        on conflict (project, blocker) do update set after_code = '', create_time = excluded.create_time;
    end if;
    select array_agg(c.project), array_agg(c.code) into projects, codes from (
        select n.project, n.code from after n join before o on o.project = n.project and o.code = n.code
        where n.status = 1 and n.delete_time is null and (
            o.status, o.priority, o.sprint_code, o.labels, o.capabilities, o.not_before, o.retry_time,
            o.completed_by_children, o.budget
        ) is distinct from (
            n.status, n.priority, n.sprint_code, n.labels, n.capabilities, n.not_before, n.retry_time,
            n.completed_by_children, n.budget)
      union all
        select d.project, d.task_code from after n join before o on o.project = n.project and o.code = n.code
        join dependencies d on d.project = n.project and d.depends_on_code = n.code and d.kind = 1
        where o.status in (1, 2, 3) and o.delete_time is null
            and (n.status not in (1, 2, 3) or n.delete_time is not null)
            and (most is null or not exists (
                select from freed_dependents f where f.project = n.project and f.blocker = n.code))
      union all
        select d.project, d.depends_on_code from after n join before o on o.project = n.project and o.code = n.code
        join dependencies d on d.project = n.project and d.task_code = n.code and d.kind = 2
        where o.delete_time is null
            and (n.delete_time is not null or (o.status in (1, 2, 3) and n.status not in (1, 2, 3)))
    ) c;
    if codes is not null then
        perform ledger_queue(projects, codes);
    end if;
    return null;
end
$$;

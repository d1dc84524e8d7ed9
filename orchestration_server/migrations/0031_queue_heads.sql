-- A row that a claim has taken out of the queue stays on disk until no snapshot needs it, and each read of the first
-- tasks passes it. So a reader remembers the first task of each priority, and goes on from there. What enters the queue
-- before that place it finds by the transaction that put it in: all below the oldest one running had ended.
alter table ready_queue add column entered xid8 not null default '0';
alter table ready_queue alter column entered set default pg_current_xact_id();
-- Without the condition on entered, a plan that was made before the first ANALYZE would take this index for the order.
create index ready_queue_entered on ready_queue (project, entered) where wake_time is null and entered > '0';

-- As before, with entered.
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
        doubt = null, entered = excluded.entered;
end
$$;

-- A server of the version before moves rows without it.
create function ledger_queue_woken() returns trigger language plpgsql as $$
begin
    new.entered := pg_current_xact_id();
    return new;
end
$$;
create trigger queue_woken before update on ready_queue for each row
    when (old.wake_time is not null and new.wake_time is null) execute function ledger_queue_woken();

-- A parent that was completed and is opened again stays open until one of its children changes.

-- The version of the children when the task was opened again; null if it was not.
alter table tasks add column children_seen numeric;

-- Returns a number that changes whenever a child of a task changes, or is added or removed; 0 if it has none.
create function ledger_children_version(of text, task text) returns numeric language plpgsql volatile as $$
begin
    return coalesce((
        select sum(hashtextextended(c.code, c.revision)) from dependencies d
        join tasks c on c.project = d.project and c.code = d.task_code
        where d.project = of and d.depends_on_code = task and d.kind = 2 and c.delete_time is null), 0);
end
$$;

create function ledger_task_opened() returns trigger language plpgsql as $$
begin
    new.children_seen := ledger_children_version(new.project, new.code);
    return new;
end
$$;
create trigger tasks_opened before update of status on tasks for each row
    when (new.completed_by_children and old.status in (4, 5) and new.status in (1, 2))
    execute function ledger_task_opened();

-- As before, but for the children of a parent that was opened again.
create or replace function ledger_unready(
    of text, task text, claimer text, able text[], provided text, more bigint default 0
) returns integer language plpgsql volatile as $$
begin
    return coalesce((
        select
            case when t.status = 1 or (t.status = 2 and l.fence is not null) then 0 else 1 end
            + case when exists (
                select from dependencies d
                where d.project = of and d.task_code = task and d.kind = 1 and (
                    select b.status in (1, 2, 3) and b.delete_time is null from tasks b
                    where b.project = of and b.code = d.depends_on_code)) then 2 else 0 end
            + case when l.fence is not null and ledger_lease_valid(l.expire_time, l.seconds, l.deadline)
                then 4 else 0 end
            + case when t.not_before > clock_timestamp() then 8 else 0 end
            + case when t.retry_time > clock_timestamp() then 16 else 0 end
            + case when able is not null and not t.capabilities <@ able then 32 else 0 end
            + case when t.sprint_code <> '' and not coalesce((
                select s.status = 2 from sprints s where s.project = of and s.code = t.sprint_code), false)
                then 64 else 0 end
            + case when exists (
                select from pauses p where p.project = of and case p.kind
                    when 1 then true
                    when 2 then p.value = t.sprint_code
                    when 3 then p.value = claimer
                    when 4 then p.value = any(t.labels)
                    else p.value = task end) then 128 else 0 end
            + case when exists (
                select from work_limits w where w.project = of and case w.kind
                    when 1 then claimer <> '' and (w.value = claimer or (w.value = '*' and not exists (
                        select from work_limits o where o.project = of and o.kind = 1 and o.value = claimer)))
                    when 2 then w.value = any(t.labels)
                    else w.value = provided end
                -- The task's own lease does not count.
                and w.most <= more - case when case w.kind
                        when 1 then l.agent = claimer
                        when 2 then w.value = any(l.labels)
                        else l.provider = w.value end
                    and ledger_lease_valid(l.expire_time, l.seconds, l.deadline) then 1 else 0 end
                + ledger_leases_of(of, w.kind, case w.kind when 1 then claimer else w.value end)
                ) then 256 else 0 end
            -- The background service completes a parent with a completed child and no open one. A parent that was
            -- opened again waits for its children only once one of them has changed.
            + case when t.completed_by_children and exists (
                select from dependencies d
                where d.project = of and d.depends_on_code = task and d.kind = 2 and (
                    select c.status <> 5 and c.delete_time is null and (c.status <> 4 or t.children_seen is null
                        or t.children_seen <> (select ledger_children_version(of, task)))
                    from tasks c where c.project = of and c.code = d.task_code)) then 512 else 0 end
            + case when t.budget is not null and ledger_budget_spent(t.budget, ledger_used(of, task))
                then 2048 else 0 end
        from tasks t left join leases l on l.project = t.project and l.task_code = t.code
        where t.project = of and t.code = task and t.delete_time is null), 1024);
end
$$;

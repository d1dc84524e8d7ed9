-- Until the first ANALYZE, and for a table that was small at the last one, Postgres finds all indexes of a project equally
-- good. A task was looked up by tasks_by_priority, and a lease by leases_of_agent, which reads all those of the project.
-- A partial index is left out unless the lookup has its condition, so each of them has one that lookups by key do not.
drop index leases_of_agent;
create index leases_of_agent on leases (project, agent) where agent <> '';

-- As before, with the condition of the index.
create or replace function ledger_leases_of(of text, kind smallint, counted text) returns bigint
language plpgsql volatile as $$
begin
    return case kind
        when 1 then (
            select count(*) from leases h where h.project = of and h.agent = counted and h.agent <> ''
                and ledger_lease_valid(h.expire_time, h.seconds, h.deadline))
        when 2 then (
            select count(*) from leases h where h.project = of and h.labels @> array[counted] and h.labels <> '{}'
                and ledger_lease_valid(h.expire_time, h.seconds, h.deadline))
        else (
            select count(*) from leases h where h.project = of and h.provider = counted and h.provider <> ''
                and ledger_lease_valid(h.expire_time, h.seconds, h.deadline))
    end;
end
$$;

-- As before, but a task is found by its key alone.
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
        where t.project = of and t.code = task and case when t.status > 0 then t.delete_time is null end), 1024);
end
$$;

-- Budgets of tasks: what all attempts at a task may use together, as their holders report it.

-- An amount is an array of tokens, millionths of a US dollar, calls of tools, and microseconds of working time. In a
-- budget, null means no limit.
alter table tasks add column budget bigint[];

-- The usage of an attempt that has ended; null if none was reported.
alter table attempts add column used bigint[];

-- A heartbeat changes used and usage, which no index has, so the update stays HOT. The first report makes a row longer,
-- so its page needs more room.
alter table leases set (fillfactor = 30);
alter table leases
    add column budget bigint[],         -- of the task, so that a heartbeat need not read it
    add column spent bigint[],          -- the usage of the attempts before this one; null means none
    add column used bigint[],           -- the usage that the holder reported last; null if it reported none
    add column usage bytea;             -- the same as a serialized orchestration.v1.Usage

-- Returns whether a report may follow another: usage only grows.
create function ledger_usage_grows(used bigint[], reported bigint[]) returns boolean language sql immutable as $$
    select used is null or (used[1] <= reported[1] and used[2] <= reported[2] and used[3] <= reported[3]
        and used[4] <= reported[4])
$$;

create function ledger_budget_spent(budget bigint[], used bigint[]) returns boolean language sql immutable as $$
    select coalesce(used[1] >= budget[1], false) or coalesce(used[2] >= budget[2], false)
        or coalesce(used[3] >= budget[3], false) or coalesce(used[4] >= budget[4], false)
$$;

-- Returns the usage of all attempts at a task, also of the open one if its fence is not ``apart``. Sums end at 2^62.
create function ledger_used(of text, task text, apart bigint default 0) returns bigint[]
language plpgsql volatile as $$
begin
    return (
        select array[least(coalesce(sum(u.used[1]), 0), 1::bigint << 62)::bigint,
            least(coalesce(sum(u.used[2]), 0), 1::bigint << 62)::bigint,
            least(coalesce(sum(u.used[3]), 0), 1::bigint << 62)::bigint,
            least(coalesce(sum(u.used[4]), 0), 1::bigint << 62)::bigint]
        from (
            select a.used from attempts a where a.project = of and a.task_code = task and a.outcome <> 0
          union all
            select l.used from leases l where l.project = of and l.task_code = task and l.fence <> apart
        ) u);
end
$$;

-- Tells the lease of a task about a new budget.
create function ledger_budget_changed() returns trigger language plpgsql as $$
begin
    update leases l set budget = new.budget, spent = ledger_used(new.project, new.code, l.fence)
    where l.project = new.project and l.task_code = new.code;
    return null;
end
$$;
create trigger tasks_budget after update of budget on tasks for each row
    when (old.budget is distinct from new.budget) execute function ledger_budget_changed();

-- As before, with one more reason: 2048, the budget is used up.
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
            -- The background service completes a parent with a completed child and no open one.
            + case when t.completed_by_children and exists (
                select from dependencies d
                where d.project = of and d.depends_on_code = task and d.kind = 2 and (
                    select c.status <> 5 and c.delete_time is null from tasks c
                    where c.project = of and c.code = d.task_code)) then 512 else 0 end
            + case when t.budget is not null and ledger_budget_spent(t.budget, ledger_used(of, task))
                then 2048 else 0 end
        from tasks t left join leases l on l.project = t.project and l.task_code = t.code
        where t.project = of and t.code = task and t.delete_time is null), 1024);
end
$$;

-- As before, and a task enters the queue if its budget changes.
create or replace function ledger_tasks_changed() returns trigger language plpgsql as $$
declare
    projects text[];
    codes    text[];
begin
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
      union all
        select d.project, d.depends_on_code from after n join before o on o.project = n.project and o.code = n.code
        join dependencies d on d.project = n.project and d.task_code = n.code and d.kind = 2
        where o.status in (1, 2, 3) and o.delete_time is null
            and (n.status not in (1, 2, 3) or n.delete_time is not null)
    ) c;
    if codes is not null then
        perform ledger_queue(projects, codes);
    end if;
    return null;
end
$$;

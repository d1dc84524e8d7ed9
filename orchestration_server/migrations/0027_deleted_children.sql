-- As before, and a parent enters the queue if a child that has ended is deleted: it may have waited for that child.
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
        where o.delete_time is null
            and (n.delete_time is not null or (o.status in (1, 2, 3) and n.status not in (1, 2, 3)))
    ) c;
    if codes is not null then
        perform ledger_queue(projects, codes);
    end if;
    return null;
end
$$;

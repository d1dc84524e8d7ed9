-- Two versions that only grow: that of a sprint's tasks, and that of a task's links. A sum over existing rows would
-- shrink when a row leaves, so a row that leaves adds its revision, plus one for leaving.
--
-- The version of a sprint's tasks is the sum of the revisions of its tasks and of departed tasks. It is spread over
-- sixteen rows, so writers of one sprint seldom wait for each other. They wait at most for a commit, since a write
-- waits for no other lock after this.
create table departed_tasks (
    project     text not null,
    sprint_code text not null,
    shard       smallint not null,
    total       bigint not null,
    primary key (project, sprint_code, shard)
) with (fillfactor = 50);

create function ledger_depart() returns trigger language plpgsql as $$
begin
    insert into departed_tasks as d (project, sprint_code, shard, total)
    values (old.project, old.sprint_code, hashtext(old.code) & 15, new.revision)
    on conflict (project, sprint_code, shard) do update set total = d.total + excluded.total;
    return null;
end
$$;
create trigger tasks_depart after update on tasks for each row
    when (old.sprint_code <> '' and old.delete_time is null
        and (new.sprint_code <> old.sprint_code or new.delete_time is not null))
    execute function ledger_depart();

-- The version of a task's links is the sum of the revisions of the tasks that it depends on, one for each link, and
-- of the tasks of removed links. The writer that removes a link holds the locks of both tasks.
create table removed_links (
    project   text not null,
    task_code text not null,
    total     bigint not null,
    primary key (project, task_code)
) with (fillfactor = 50);

create function ledger_remove_link() returns trigger language plpgsql as $$
begin
    insert into removed_links as r (project, task_code, total)
    values (old.project, old.task_code, 1 + coalesce((
        select t.revision from tasks t where t.project = old.project and t.code = old.depends_on_code), 0))
    on conflict (project, task_code) do update set total = r.total + excluded.total;
    return null;
end
$$;
create trigger dependencies_removed after delete on dependencies for each row execute function ledger_remove_link();

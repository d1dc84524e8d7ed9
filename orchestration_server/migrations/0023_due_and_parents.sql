-- The due time of a task whose passing was logged. A new due time is logged again.
alter table tasks add column told_due_time timestamptz;
create index tasks_overdue on tasks (due_time)
    where due_time is not null and due_time is distinct from told_due_time and status in (1, 2, 3)
        and delete_time is null;

-- The open tasks that their children complete.
create index tasks_by_children on tasks (project, code)
    where completed_by_children and status in (1, 2) and delete_time is null;

-- For links by the task depended on, of any kind. Queries of blocking links use it, too.
create index dependencies_to on dependencies (project, depends_on_code, task_code, kind);
drop index dependencies_reverse;

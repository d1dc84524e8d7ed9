-- Links are listed by what they lead to as well, whatever their kind; blocking ones are found here too.
create index dependencies_to on dependencies (project, depends_on_code, task_code, kind);
drop index dependencies_reverse;

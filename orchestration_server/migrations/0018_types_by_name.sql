-- The types of a project's events in the order of their names, so that those below a prefix are found by probes. The
-- rollups count every event by its type and are never deleted.
create index event_rollups_by_key on event_rollups (project, dimension, key collate "C");

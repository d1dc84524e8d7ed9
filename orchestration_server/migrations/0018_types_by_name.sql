-- The types of a project's events by name, so that probes find the types below a prefix. The rollups have every type
-- and are never deleted.
create index event_rollups_by_key on event_rollups (project, dimension, key collate "C");

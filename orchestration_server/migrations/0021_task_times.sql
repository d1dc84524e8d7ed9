-- What a claim looks at beside status, priority and labels: what an agent has to be able to do, and times. Releases write
-- retry_time, the end of the pause after a failed attempt.
alter table tasks
    add column capabilities text[] not null default '{}',
    add column not_before timestamptz,
    add column due_time timestamptz,
    add column completed_by_children boolean not null default false,
    add column retry_time timestamptz;

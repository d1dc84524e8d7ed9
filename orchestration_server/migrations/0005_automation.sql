-- The positions of background readers: the last event of a project that a reader has handled. The position of an
-- event survives a crash, and the horizon does not (docs/decisions/0003).
create table log_positions (
    reader  text not null,
    project text not null,
    epoch   integer not null,
    xid     xid8 not null,
    seq     bigint not null,
    -- If the event is handled in part: the last rule, and the last of its actions, that is done. Null if the
    -- event is done.
    rule    text,
    action  integer not null default 0,
    primary key (reader, project)
);

-- Rules act only on events after this migration.
insert into log_positions (reader, project, epoch, xid, seq)
select 'automation', e.project, e.epoch, e.xid, e.seq
from (select distinct project from events) p
cross join lateral (
    select * from events where events.project = p.project order by epoch desc, xid desc, seq desc limit 1
) e;

-- How far the background readers of the log are: the last event of a project that a reader has dealt with.
-- Events name places that outlive a crash; the horizon does not (docs/decisions/0003).
create table log_positions (
    reader  text not null,
    project text not null,
    epoch   integer not null,
    xid     xid8 not null,
    seq     bigint not null,
    -- Where an event is dealt with in part: the last rule, and the last of its actions, that has been. Null
    -- where it is done.
    rule    text,
    action  integer not null default 0,
    primary key (reader, project)
);

-- Rules act on what happens from here on: what was there before they were is no news.
insert into log_positions (reader, project, epoch, xid, seq)
select 'automation', e.project, e.epoch, e.xid, e.seq
from (select distinct project from events) p
cross join lateral (
    select * from events where events.project = p.project order by epoch desc, xid desc, seq desc limit 1
) e;

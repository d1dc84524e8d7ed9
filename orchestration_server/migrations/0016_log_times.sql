-- Marks of the log, one for some thousand events: no event of the project up to (epoch, xid, seq) has an emit_time
-- after latest. With them a stream finds the position at which the events of a time can begin, since emit_time has
-- another order than the log.
create table log_times (
    project text not null,
    epoch   integer not null,
    xid     xid8 not null,
    seq     bigint not null,
    latest  timestamptz not null,
    primary key (project, epoch, xid, seq)
);
create index log_times_by_latest on log_times (project, latest, epoch, xid, seq);

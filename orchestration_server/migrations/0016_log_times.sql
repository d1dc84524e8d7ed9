-- How late the events of a project were recorded, up to some of them: at or before the event at (epoch, xid, seq) none
-- is of a later emit_time than latest. Kept behind the tail of the log, one for some thousand events. Where events of
-- a time begin in the log is found by it: emit_time has another order than the log has.
create table log_times (
    project text not null,
    epoch   integer not null,
    xid     xid8 not null,
    seq     bigint not null,
    latest  timestamptz not null,
    primary key (project, epoch, xid, seq)
);
create index log_times_by_latest on log_times (project, latest, epoch, xid, seq);

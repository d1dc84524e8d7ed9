-- Leases, attempts, pauses and limits, the readiness of a task, and the queue of tasks that may be ready.

-- Fences come from one sequence, so a fence names one attempt of one task. A claim draws its fence before it reads the
-- task and fails if the task changed since, so the fences of a task grow.
create sequence fences;

-- One narrow row for each held task, which is the authority. A heartbeat changes only expire_time, and no index has it,
-- so the update is HOT.
create table leases (
    project     text not null,
    task_code   text not null,
    fence       bigint not null,
    agent       text not null,
    session_key text not null,
    provider    text not null,
    labels      text[] not null,        -- of the task at the claim, for the limits of labels
    seconds     real not null,          -- how far a heartbeat extends the lease
    expire_time timestamptz not null,
    deadline    timestamptz,            -- no heartbeat extends the lease beyond it
    primary key (project, task_code)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index leases_of_agent on leases (project, agent);
create index leases_of_session on leases (project, session_key) where session_key <> '';
create index leases_of_provider on leases (project, provider) where provider <> '';
-- A list of pending entries would be read by each claim that a limit of a label counts.
create index leases_of_label on leases using gin (labels) with (fastupdate = off) where labels <> '{}';

-- Ends the leases of a session that closes. It runs after the close has locked the session's row, so it sees the leases
-- of claims that the close waited for. The background service ends the attempts.
create function ledger_drop_leases(of text, session text, closed bigint) returns bigint language plpgsql volatile as $$
begin
    update leases set expire_time = '-infinity' where project = of and session_key = session and session_key <> '';
    return closed;
end
$$;

create table attempts (
    project     text not null,
    task_code   text not null,
    number      integer not null,
    fence       bigint not null,
    outcome     smallint not null default 0,    -- AttemptOutcome; 0 while the attempt is open
    parked      boolean not null default false, -- true if no try was left after this one
    body        bytea not null,                 -- the serialized orchestration.v1.Attempt
    primary key (project, task_code, number)
);
create unique index attempts_by_fence on attempts (fence);

create table pauses (
    project text not null,
    kind    smallint not null,          -- 1 project, 2 sprint, 3 agent, 4 label, 5 task
    value   text not null,              -- empty for the project
    mode    smallint not null,          -- PauseMode
    reason  text not null,
    agent   text not null,
    create_time timestamptz not null,
    primary key (project, kind, value)
);

create table work_limits (
    project text not null,
    kind    smallint not null,          -- 1 agent, 2 label, 3 provider
    value   text not null,              -- '*' is the limit of each agent without one of its own
    most    integer not null,
    primary key (project, kind, value)
);

-- Returns whether a lease is valid. Holders could not beat while the database was away: after its start, a lease that
-- had not expired before gets up to 30 seconds for a heartbeat.
create function ledger_lease_valid(expire_time timestamptz, seconds real, deadline timestamptz) returns boolean
language sql volatile as $$
    select case
        when expire_time = '-infinity' or deadline <= clock_timestamp() then false
        else greatest(expire_time, least(pg_postmaster_start_time(), clock_timestamp())
            + make_interval(secs => least(seconds, 30))) > clock_timestamp()
    end
$$;

-- Returns the number of valid leases that a limit counts: those of an agent, of a label, or of a provider.
create function ledger_leases_of(of text, kind smallint, counted text) returns bigint
language plpgsql volatile as $$
begin
    return case kind
        when 1 then (
            select count(*) from leases h where h.project = of and h.agent = counted
                and ledger_lease_valid(h.expire_time, h.seconds, h.deadline))
        when 2 then (
            select count(*) from leases h where h.project = of and h.labels @> array[counted] and h.labels <> '{}'
                and ledger_lease_valid(h.expire_time, h.seconds, h.deadline))
        else (
            select count(*) from leases h where h.project = of and h.provider = counted and h.provider <> ''
                and ledger_lease_valid(h.expire_time, h.seconds, h.deadline))
    end;
end
$$;

-- Returns the reasons for which an agent cannot claim a task, as bits: 0 if it can. It is the one place that decides:
-- claims, lists and explanations call it. ``able`` has the agent's capabilities, or is null to leave them out. ``more``
-- counts leases that are about to be taken in the same statement.
--   1 status   2 blocker   4 held   8 not_before   16 backoff   32 capability   64 sprint   128 paused   256 limit
--   512 children   1024 no such task
-- Each statement of a volatile function has its own snapshot, so this sees what others committed while the calling
-- statement waited for locks.
create function ledger_unready(
    of text, task text, claimer text, able text[], provided text, more bigint default 0
) returns integer language plpgsql volatile as $$
begin
    return coalesce((
        select
            case when t.status = 1 or (t.status = 2 and l.fence is not null) then 0 else 1 end
            + case when exists (
                select from dependencies d
                where d.project = of and d.task_code = task and d.kind = 1 and (
                    select b.status in (1, 2, 3) and b.delete_time is null from tasks b
                    where b.project = of and b.code = d.depends_on_code)) then 2 else 0 end
            + case when l.fence is not null and ledger_lease_valid(l.expire_time, l.seconds, l.deadline)
                then 4 else 0 end
            + case when t.not_before > clock_timestamp() then 8 else 0 end
            + case when t.retry_time > clock_timestamp() then 16 else 0 end
            + case when able is not null and not t.capabilities <@ able then 32 else 0 end
            + case when t.sprint_code <> '' and not coalesce((
                select s.status = 2 from sprints s where s.project = of and s.code = t.sprint_code), false)
                then 64 else 0 end
            + case when exists (
                select from pauses p where p.project = of and case p.kind
                    when 1 then true
                    when 2 then p.value = t.sprint_code
                    when 3 then p.value = claimer
                    when 4 then p.value = any(t.labels)
                    else p.value = task end) then 128 else 0 end
            + case when exists (
                select from work_limits w where w.project = of and case w.kind
                    when 1 then claimer <> '' and (w.value = claimer or (w.value = '*' and not exists (
                        select from work_limits o where o.project = of and o.kind = 1 and o.value = claimer)))
                    when 2 then w.value = any(t.labels)
                    else w.value = provided end
                -- The task's own lease does not count.
                and w.most <= more - case when case w.kind
                        when 1 then l.agent = claimer
                        when 2 then w.value = any(l.labels)
                        else l.provider = w.value end
                    and ledger_lease_valid(l.expire_time, l.seconds, l.deadline) then 1 else 0 end
                + ledger_leases_of(of, w.kind, case w.kind when 1 then claimer else w.value end)
                ) then 256 else 0 end
            -- The background service completes a parent with a completed child and no open one.
            + case when t.completed_by_children and exists (
                select from dependencies d
                where d.project = of and d.depends_on_code = task and d.kind = 2 and (
                    select c.status <> 5 and c.delete_time is null from tasks c
                    where c.project = of and c.code = d.task_code)) then 512 else 0 end
        from tasks t left join leases l on l.project = t.project and l.task_code = t.code
        where t.project = of and t.code = task and t.delete_time is null), 1024);
end
$$;

-- Lets claims that a limit counts take turns, so the limit is exact. A claim takes the locks of limits after those of its
-- tasks and all at once, in one order; ``locked`` makes this run after the latter. The shared lock comes first: whoever
-- has it exclusively, for a moment, knows that later claims see the pauses and limits that are committed.
create function ledger_take_turn(of text, codes text[], claimer text, provided text, locked bigint) returns bigint
language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock_shared(hashtextextended(of || '/claims', 0));
    perform pg_advisory_xact_lock(hashtextextended(of || '/limit/' || w.kind || '/' || w.counted, 0))
    from (
        select distinct w.kind, case w.kind when 1 then claimer else w.value end as counted
        from work_limits w where w.project = of and case w.kind
            when 1 then w.value in (claimer, '*')
            when 2 then exists (
                select from tasks t where t.project = of and t.code = any(codes) and w.value = any(t.labels))
            else w.value = provided end
        order by 1, 2
    ) w;
    return locked;
end
$$;

-- Waits for the claims that may not see what is committed.
create function ledger_settle_claims(of text) returns void language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(of || '/claims', 0));
end
$$;

-- Returns what a claimer may get at all: the most leases, the labels and the sprints of which it gets no task, and
-- whether other claimers may get others. So a claimer that gets nothing need not walk the queue.
create function ledger_openings(
    of text, claimer text, provided text,
    out room bigint, out closed_labels text[], out closed_sprints text[], out by_claimer boolean
) language plpgsql volatile as $$
begin
    by_claimer := exists (select from work_limits w where w.project = of and w.kind = 1)
        or exists (select from pauses p where p.project = of and p.kind = 3);
    room := case when exists (
            select from pauses p where p.project = of and (p.kind = 1 or (p.kind = 3 and p.value = claimer)))
        then 0
        else coalesce((
            select min(w.most - ledger_leases_of(of, w.kind, case w.kind when 1 then claimer else w.value end))
            from work_limits w where w.project = of and case w.kind
                when 1 then w.value = claimer or (w.value = '*' and not exists (
                    select from work_limits o where o.project = of and o.kind = 1 and o.value = claimer))
                when 3 then w.value = provided
                else false end), 1000)
    end;
    closed_labels := array(
        select p.value from pauses p where p.project = of and p.kind = 4
      union
        select w.value from work_limits w where w.project = of and w.kind = 2
            and w.most <= ledger_leases_of(of, w.kind, w.value));
    closed_sprints := array(select p.value from pauses p where p.project = of and p.kind = 2);
end
$$;

-- Each pending task that is ready has a row, and some that are not. A statement that may make a task ready puts the row
-- in or gives it a new generation. A claimer that finds a task not ready marks its row with the next transaction id, and
-- takes the row out at a later look if it finds the task not ready again, all transactions before that id have ended,
-- and the generation is unchanged. So a task stays that a transaction makes ready which did not see the row and has not
-- committed yet. Rows that wait for a time have wake_time.
create sequence queue_generations;
create table ready_queue (
    project     text not null,
    task_code   text not null,
    priority    smallint not null,
    create_time timestamptz not null,
    sprint_code text not null,
    labels      text[] not null,
    capabilities text[] not null,
    wake_time   timestamptz,
    generation  bigint not null default nextval('queue_generations'),
    doubt       xid8,                   -- the mark of a look that found the task not ready
    primary key (project, task_code)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
create index ready_queue_order on ready_queue (project, priority, create_time, task_code) where wake_time is null;
create index ready_queue_of_sprint on ready_queue (project, sprint_code, priority, create_time, task_code)
    where wake_time is null and sprint_code <> '';
create index ready_queue_by_label on ready_queue using gin (labels) where labels <> '{}';
create index ready_queue_waiting on ready_queue (wake_time) where wake_time is not null;

-- Puts tasks into the queue that may have become ready. The rows are taken in one order, so that writers do not wait
-- for each other in a circle: a statement calls this once.
create function ledger_queue(projects text[], codes text[]) returns void language plpgsql volatile as $$
begin
    insert into ready_queue as q (project, task_code, priority, create_time, sprint_code, labels, capabilities,
        wake_time)
    select t.project, t.code, t.priority, t.create_time, t.sprint_code, t.labels, t.capabilities,
        case when greatest(t.not_before, t.retry_time) > clock_timestamp()
            then greatest(t.not_before, t.retry_time) end
    from (select distinct c.project, c.code from unnest(projects, codes) as c (project, code) offset 0) c
    join tasks t on t.project = c.project and t.code = c.code
    where t.status = 1 and t.delete_time is null
    order by t.project, t.code
    on conflict (project, task_code) do update set priority = excluded.priority,
        create_time = excluded.create_time, sprint_code = excluded.sprint_code, labels = excluded.labels,
        capabilities = excluded.capabilities, wake_time = excluded.wake_time, generation = excluded.generation,
        doubt = null;
end
$$;

create function ledger_tasks_added() returns trigger language plpgsql as $$
begin
    perform ledger_queue(array_agg(a.project), array_agg(a.code)) from added a where a.status = 1;
    return null;
end
$$;
create trigger tasks_queued after insert on tasks referencing new table as added for each statement
    execute function ledger_tasks_added();

-- A task that leaves the status pending leaves the queue. A task that becomes pending enters it, and so does a pending
-- one if what claims look at has changed. A task that ends may make the tasks ready that it blocks, and its parents.
create function ledger_tasks_changed() returns trigger language plpgsql as $$
declare
    projects text[];
    codes    text[];
begin
    select array_agg(c.project), array_agg(c.code) into projects, codes from (
        select n.project, n.code from after n join before o on o.project = n.project and o.code = n.code
        where n.status = 1 and n.delete_time is null and (
            o.status, o.priority, o.sprint_code, o.labels, o.capabilities, o.not_before, o.retry_time,
            o.completed_by_children
        ) is distinct from (
            n.status, n.priority, n.sprint_code, n.labels, n.capabilities, n.not_before, n.retry_time,
            n.completed_by_children)
      union all
        select d.project, d.task_code from after n join before o on o.project = n.project and o.code = n.code
        join dependencies d on d.project = n.project and d.depends_on_code = n.code and d.kind = 1
        where o.status in (1, 2, 3) and o.delete_time is null
            and (n.status not in (1, 2, 3) or n.delete_time is not null)
      union all
        select d.project, d.depends_on_code from after n join before o on o.project = n.project and o.code = n.code
        join dependencies d on d.project = n.project and d.task_code = n.code and d.kind = 2
        where o.status in (1, 2, 3) and o.delete_time is null
            and (n.status not in (1, 2, 3) or n.delete_time is not null)
    ) c;
    if codes is not null then
        perform ledger_queue(projects, codes);
    end if;
    return null;
end
$$;
create trigger tasks_requeued after update on tasks referencing old table as before new table as after
    for each statement execute function ledger_tasks_changed();

create function ledger_unqueue_task() returns trigger language plpgsql as $$
begin
    delete from ready_queue where project = old.project and task_code = old.code;
    return null;
end
$$;
create trigger tasks_unqueued after update on tasks for each row
    when (old.status = 1 and old.delete_time is null and (new.status <> 1 or new.delete_time is not null))
    execute function ledger_unqueue_task();

-- A task that gets an open blocker leaves the queue at once. The writer of a link holds the locks of both tasks, so the
-- blocker cannot end meanwhile.
create function ledger_link_added() returns trigger language plpgsql as $$
begin
    if (select b.status in (1, 2, 3) and b.delete_time is null from tasks b
        where b.project = new.project and b.code = new.depends_on_code) then
        delete from ready_queue where project = new.project and task_code = new.task_code;
    end if;
    return null;
end
$$;
create trigger dependencies_unqueue after insert on dependencies for each row
    when (new.kind = 1) execute function ledger_link_added();

create function ledger_queue_unlinked() returns trigger language plpgsql as $$
begin
    perform ledger_queue(array[old.project, old.project], array[old.task_code, old.depends_on_code]);
    return null;
end
$$;
create trigger dependencies_queue after delete on dependencies for each row
    when (old.kind in (1, 2)) execute function ledger_queue_unlinked();

create function ledger_queue_sprint() returns trigger language plpgsql as $$
begin
    perform ledger_queue(array_agg(t.project), array_agg(t.code)) from tasks t
    where t.project = new.project and t.sprint_code = new.code and t.sprint_code <> '' and t.status = 1
        and t.delete_time is null;
    return null;
end
$$;
create trigger sprints_queue after update on sprints for each row
    when (old.status <> 2 and new.status = 2) execute function ledger_queue_sprint();

insert into ready_queue (project, task_code, priority, create_time, sprint_code, labels, capabilities)
select project, code, priority, create_time, sprint_code, labels, capabilities from tasks
where status = 1 and delete_time is null;

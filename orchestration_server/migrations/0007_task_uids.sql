-- A column for a task's uid, so that statements over many tasks need not read their messages. The message begins
-- with the code (field 1), whose length has a second byte from 128 on, and the uid (field 2) follows.
alter table tasks add column uid uuid;
update tasks set uid = convert_from(
    substring(body from octet_length(code) + case when octet_length(code) < 128 then 5 else 6 end for 36), 'utf8')::uuid;
alter table tasks alter column uid set not null;

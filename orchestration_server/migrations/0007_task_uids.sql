-- A task's uid beside its message, so that what is about many tasks need not read their messages. The message
-- begins with the code (field 1), whose length takes a second byte from 128 on, and goes on with the uid (field 2).
alter table tasks add column uid uuid;
update tasks set uid = convert_from(
    substring(body from octet_length(code) + case when octet_length(code) < 128 then 5 else 6 end for 36), 'utf8')::uuid;
alter table tasks alter column uid set not null;

-- The sprint and the task of a decision, so that a context finds it. They are taken from the body, a protobuf message
-- in which field 6 is the sprint and field 7 the task.
alter table adrs add column sprint_code text not null default '', add column task_code text not null default '';

create function pg_temp.text_field(body bytea, wanted int) returns text language plpgsql as $$
declare
    at int := 0;
    tag int;
    size int;
    found text := '';
    part int;
    shift int;
begin
    while at < length(body) loop
        tag := 0;
        shift := 0;
        loop
            part := get_byte(body, at);
            at := at + 1;
            tag := tag | ((part & 127) << shift);
            shift := shift + 7;
            exit when part < 128;
        end loop;
        if tag & 7 = 0 then
            while get_byte(body, at) > 127 loop
                at := at + 1;
            end loop;
            at := at + 1;
        elsif tag & 7 = 1 then
            at := at + 8;
        elsif tag & 7 = 5 then
            at := at + 4;
        else
            size := 0;
            shift := 0;
            loop
                part := get_byte(body, at);
                at := at + 1;
                size := size | ((part & 127) << shift);
                shift := shift + 7;
                exit when part < 128;
            end loop;
            if tag >> 3 = wanted then
                found := convert_from(substring(body from at + 1 for size), 'UTF8');
            end if;
            at := at + size;
        end if;
    end loop;
    return found;
end
$$;
update adrs set sprint_code = pg_temp.text_field(body, 6), task_code = pg_temp.text_field(body, 7);

create index adrs_of_task on adrs (project, task_code, number desc) where task_code <> '';
create index adrs_of_sprint on adrs (project, sprint_code, number desc) where sprint_code <> '';

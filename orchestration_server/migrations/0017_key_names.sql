-- Unrevoked keys of a project have different names, so that a list tells them apart. Of existing keys with the same
-- name, all but the first get their id appended.
update api_keys k set name = left(k.name, 110) || ' (' || k.id || ')'
from (
    select id, row_number() over (partition by project, name order by create_time, id) as place
    from api_keys where revoke_time is null
) named
where k.id = named.id and named.place > 1;
create unique index api_keys_by_name on api_keys (project, name) where revoke_time is null;

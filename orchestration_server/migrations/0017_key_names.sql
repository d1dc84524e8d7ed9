-- Keys that are not revoked have different names in a project, so a list tells them apart. Of those that have
-- one name already, all but the first get their id behind it.
update api_keys k set name = left(k.name, 110) || ' (' || k.id || ')'
from (
    select id, row_number() over (partition by project, name order by create_time, id) as place
    from api_keys where revoke_time is null
) named
where k.id = named.id and named.place > 1;
create unique index api_keys_by_name on api_keys (project, name) where revoke_time is null;

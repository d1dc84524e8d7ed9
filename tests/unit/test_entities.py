"""The descriptors of entities agree with the protos."""

import pytest

from orchestration_server.codec.entities import ENTITY_CODECS, EntityCodec
from orchestration_server.model import EntityType

SET_BY_SERVER = {
    EntityType.TASK: {"uid", "revision", "create_time", "update_time", "hash"},
    EntityType.SPRINT: {"uid", "revision", "create_time", "update_time", "hash"},
    EntityType.SESSION: {"uid", "revision", "create_time", "update_time", "close_time", "last_activity_time"},
}


@pytest.mark.parametrize("codec", ENTITY_CODECS.values(), ids=lambda codec: codec.name)
def test_each_field_of_an_entity_is_in_its_content_or_set_by_the_server(codec: EntityCodec) -> None:
    fields = {field.name for field in codec.message.DESCRIPTOR.fields}
    unknown = fields - codec.fields - SET_BY_SERVER[codec.entity_type]
    assert not unknown, "add them to codec/content.py, or no update of them is noticed, hashed or logged"
    assert codec.fields <= fields

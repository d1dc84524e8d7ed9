"""The descriptors of entities agree with the protos."""

import pytest

from orchestration_server.cli.importing import delegation_format, jsonl_format
from orchestration_server.codec.entities import ENTITY_CODECS, SPRINT, TASK, EntityCodec
from orchestration_server.model import EntityType
from orchestration_server.templates import structure

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


def test_each_field_can_be_read_from_files_lines_and_templates() -> None:
    """A new field is added to each of them, or to an exception here: none drops it unseen."""
    in_agent_yml = {"agent_config"}
    given_by_the_request = {"code", "sprint_code"}
    assert TASK.fields == set(delegation_format._TASK_NAMES.values()) & TASK.fields | in_agent_yml
    assert SPRINT.fields == set(delegation_format._SPRINT_NAMES.values()) & SPRINT.fields
    assert TASK.fields == jsonl_format._TASK_FIELDS & TASK.fields
    assert TASK.fields - given_by_the_request == set(structure._TASK)
    assert SPRINT.fields - given_by_the_request == set(structure._SPRINT)

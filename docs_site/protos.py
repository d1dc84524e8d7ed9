"""The API as its protos describe it: services, messages and enums with their comments."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import descriptor_pb2 as pb

PACKAGE = "orchestration.v1"
_FIELD = pb.FieldDescriptorProto

Comments = Mapping[tuple[int, ...], str]
"""The comment before each element, by the element's path in the descriptor of its file."""

# Numbers of fields in descriptor.proto, of which the paths of elements consist.
_FILE_SYNTAX, _FILE_MESSAGES, _FILE_ENUMS, _FILE_SERVICES = 12, 4, 5, 6
_MESSAGE_FIELDS, _MESSAGE_ONEOFS, _ENUM_VALUES, _SERVICE_METHODS = 2, 8, 2, 2

_SCALARS = {
    getattr(_FIELD, name): name.removeprefix("TYPE_").lower()
    for name in _FIELD.Type.keys()  # noqa: SIM118  # an enum wrapper is no dict
    if name not in ("TYPE_MESSAGE", "TYPE_ENUM", "TYPE_GROUP")
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message."""

    name: str
    type: str
    """A scalar type, or the name of a message or an enum: short if it is of this package."""
    comment: str
    kind: str = ""
    """`list`, `map` (of strings to `type`), `optional`, or empty."""
    oneof: str = ""
    """The name of the field's oneof. Empty if it is in none."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and the comment of each of its oneofs."""

    name: str
    comment: str
    fields: tuple[Field, ...]
    oneofs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Value:
    """A value of an enum."""

    name: str
    comment: str


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum."""

    name: str
    comment: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Rpc:
    """An rpc, with the names of its messages."""

    name: str
    comment: str
    request: str
    response: str
    streams_requests: bool
    streams_responses: bool


@dataclass(frozen=True, slots=True)
class Service:
    """A service."""

    name: str
    comment: str
    rpcs: tuple[Rpc, ...]


@dataclass(frozen=True, slots=True)
class ProtoFile:
    """One file of the package."""

    stem: str
    comment: str
    services: tuple[Service, ...]
    messages: tuple[Message, ...]
    enums: tuple[Enum, ...]


def load(root: Path) -> tuple[ProtoFile, ...]:
    """Return the files of the package below `root`, by name. Raises CalledProcessError if protoc fails."""
    paths = sorted(path.relative_to(root) for path in root.rglob("*.proto"))
    with tempfile.TemporaryDirectory(prefix="protos-") as directory:
        out = Path(directory) / "descriptors.binpb"
        command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", "--include_source_info"]
        subprocess.run([*command, f"--descriptor_set_out={out}", *map(str, paths)], cwd=root, check=True)
        descriptors = pb.FileDescriptorSet.FromString(out.read_bytes())
    return tuple(sorted(map(_file, descriptors.file), key=lambda file: file.stem))


def _file(file: pb.FileDescriptorProto) -> ProtoFile:
    if file.package != PACKAGE:
        raise ValueError(f"{file.name} is of package {file.package}, not {PACKAGE}")
    comments = {
        tuple(location.path): _unindented(location.leading_comments)
        for location in file.source_code_info.location
        if location.leading_comments
    }
    return ProtoFile(
        stem=Path(file.name).stem,
        comment=comments.get((_FILE_SYNTAX,), ""),
        services=tuple(_service(one, comments, (_FILE_SERVICES, i)) for i, one in enumerate(file.service)),
        messages=tuple(
            _message(one, comments, (_FILE_MESSAGES, i)) for i, one in enumerate(file.message_type)
        ),
        enums=tuple(_enum(one, comments, (_FILE_ENUMS, i)) for i, one in enumerate(file.enum_type)),
    )


def _unindented(comment: str) -> str:
    return "\n".join(line.removeprefix(" ").rstrip() for line in comment.splitlines()).strip()


def _service(service: pb.ServiceDescriptorProto, comments: Comments, path: tuple[int, ...]) -> Service:
    rpcs = tuple(
        Rpc(
            name=rpc.name,
            comment=comments.get((*path, _SERVICE_METHODS, i), ""),
            request=_short(rpc.input_type),
            response=_short(rpc.output_type),
            streams_requests=rpc.client_streaming,
            streams_responses=rpc.server_streaming,
        )
        for i, rpc in enumerate(service.method)
    )
    return Service(service.name, comments.get(path, ""), rpcs)


def _message(message: pb.DescriptorProto, comments: Comments, path: tuple[int, ...]) -> Message:
    maps = {f".{PACKAGE}.{message.name}.{one.name}": one for one in message.nested_type}
    if message.enum_type or not all(one.options.map_entry for one in maps.values()):
        raise ValueError(f"{message.name} has nested types, which the pages have no place for")
    oneofs = [one.name for one in message.oneof_decl]
    fields = tuple(
        _field(one, comments.get((*path, _MESSAGE_FIELDS, i), ""), oneofs, maps)
        for i, one in enumerate(message.field)
    )
    used = {field.oneof for field in fields}
    described = {
        name: comments.get((*path, _MESSAGE_ONEOFS, i), "") for i, name in enumerate(oneofs) if name in used
    }
    return Message(message.name, comments.get(path, ""), fields, described)


def _field(field: _FIELD, comment: str, oneofs: list[str], maps: Mapping[str, pb.DescriptorProto]) -> Field:
    kind, oneof = "", ""
    if field.type_name in maps:
        return Field(field.name, _type(maps[field.type_name].field[1]), comment, "map")
    if field.label == _FIELD.LABEL_REPEATED:
        kind = "list"
    elif field.proto3_optional:
        kind = "optional"
    elif field.HasField("oneof_index"):
        oneof = oneofs[field.oneof_index]
    return Field(field.name, _type(field), comment, kind, oneof)


def _enum(enum: pb.EnumDescriptorProto, comments: Comments, path: tuple[int, ...]) -> Enum:
    values = tuple(
        Value(value.name, comments.get((*path, _ENUM_VALUES, i), "")) for i, value in enumerate(enum.value)
    )
    return Enum(enum.name, comments.get(path, ""), values)


def _type(field: _FIELD) -> str:
    return _SCALARS.get(field.type) or _short(field.type_name)


def _short(name: str) -> str:
    return name.removeprefix(".").removeprefix(f"{PACKAGE}.")

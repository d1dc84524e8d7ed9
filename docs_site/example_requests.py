"""The smallest request of each rpc as JSON, from the fields whose comments begin with "Required."."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from docs_site.protos import Enum, Field, Message, ProtoFile, Rpc

_GOOGLE = {
    "google.protobuf.Timestamp": "2026-01-02T03:04:05Z",
    "google.protobuf.Duration": "60s",
    "google.protobuf.FieldMask": "title",
    "google.protobuf.Struct": {},
}
_UNITS = {"bool": True, "double": 0.5, "float": 0.5, "string": "…", "bytes": ""}


class ExampleRequests:
    """A function that returns an rpc's smallest request."""

    def __init__(self, files: Iterable[ProtoFile]) -> None:
        files = tuple(files)
        self._messages = {one.name: one for file in files for one in file.messages}
        self._enums = {one.name: one for file in files for one in file.enums}

    def __call__(self, rpc: Rpc) -> str:
        """Return the request as JSON, with … for the texts of the caller."""
        return json.dumps(self._message(self._messages[rpc.request]), ensure_ascii=False)

    def _message(self, message: Message) -> dict[str, Any]:
        chosen = list[Field]()
        for field in message.fields:
            of_oneof = field.oneof and message.oneofs[field.oneof].startswith("Required.")
            first = not any(one.oneof == field.oneof for one in chosen)
            if field.comment.startswith("Required.") or (of_oneof and first):
                chosen.append(field)
        return {field.name: self._value(field) for field in chosen}

    def _value(self, field: Field) -> Any:
        one = self._single(field.type)
        return [one] if field.kind == "list" else {"…": one} if field.kind == "map" else one

    def _single(self, name: str) -> Any:
        if name in self._messages:
            return self._message(self._messages[name])
        if name in self._enums:
            return _first(self._enums[name])
        return _GOOGLE.get(name, _UNITS.get(name, 1))


def _first(enum: Enum) -> str:
    return enum.values[1].name

"""The bounds of requests in bytes: no valid request is refused, and an accepted one takes bounded memory."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.v1 import event_pb2, task_pb2
from orchestration_server.errors import InvalidArgument
from orchestration_server.validation import RULES, validate
from orchestration_server.validation import constraints as kinds
from orchestration_server.validation.constraints import Rule
from orchestration_server.validation.request_parser import Parser
from orchestration_server.validation.wire_bounds import SCAN_BYTES, TooMany, bounds_of
from tests.support import factories
from tests.support.valid_requests import REQUESTS

MOST_BYTES = 16 * 1024 * 1024
LARGE = 200_000
"""The bytes of generated text and JSON in one message. Further ones are short."""
NAMES = ["a", "a" * 128, "a" * 64, "a.b", "a" * 62 + "." + "b" * 63, "a.*", "T:a", "SESSION:" + "a" * 128,
         "é" * 512, "01890a5d-ac96-774b-bcce-b302099a8057"]  # fmt: skip
FORMS = ["0 0 1 1 " + ",".join(["7"] * 96), "America/Argentina/ComodRivadavia"]
"""A cron line and a time zone, as long as they come."""
BOUNDS = {each: bounds_of(each, RULES) for each in REQUESTS}
PARSERS = {each: Parser(each, RULES, most_bytes=MOST_BYTES) for each in REQUESTS}


class Maker:
    """A generator of valid requests, many of them at a limit."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._left = LARGE
        self._number = 0

    def message(self, kind: type[Message]) -> Message:
        made = kind()
        for field in kind.DESCRIPTOR.fields:
            rule = RULES[kind][field.name]
            oneof = field.containing_oneof
            if oneof is not None and made.WhichOneof(oneof.name):
                continue
            if getattr(rule, "required", False) or self._random.random() < 0.8:
                self._set(made, field, rule)
        return made

    def _set(self, made: Any, field: Any, rule: Rule) -> None:
        if isinstance(rule, kinds.Items):
            high = self._random.choice((rule.low, rule.low + 1, rule.high))
            values = [self._value(field, rule.rule) for _ in range(min(high, rule.high))]
            if rule.unique:
                values = list(dict.fromkeys(values))
            getattr(made, field.name).extend(values)
            return
        value = self._value(field, rule)
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            getattr(made, field.name).CopyFrom(value)
        else:
            setattr(made, field.name, value)

    def _value(self, field: Any, rule: Rule) -> Any:
        chance = self._random
        match rule:
            case kinds.Unreserved():
                return self._value(field, rule.rule)
            case kinds.Text():
                return chance.choice("aé语😀") * self._length(rule.low, rule.high, 4)
            case kinds.Printable():
                return "p" * self._length(1, rule.high, 1)
            case kinds.Pattern():
                fits = [name for name in NAMES if len(name) <= rule.high and rule.pattern.fullmatch(name)]
                self._number += 1
                numbered = f"a{self._number}"
                return numbered if rule.pattern.fullmatch(numbered) and chance.random() < 0.5 else max(fits)
            case kinds.Form():
                return next(text for text in FORMS if not rule.fault(text))
            case kinds.Date():
                return "2026-11-29"
            case kinds.EnumValue():
                numbers = [v.number for v in rule.enum.values if rule.only is None or v.number in rule.only]
                return chance.choice([n for n in numbers if n or not rule.required])
            case kinds.Int():
                return chance.choice((rule.low, rule.high))
            case kinds.Flag():
                return True
            case kinds.Json():
                return self._json()
            case kinds.Mask():
                mask = field.message_type._concrete_class()
                mask.paths.extend(sorted(rule.allowed))
                return mask
            case kinds.Sub() | kinds.Masked():
                return self.message(rule.message)
            case kinds.Time():
                return field.message_type._concrete_class(seconds=10**9)
            case kinds.Span():
                return field.message_type._concrete_class(seconds=rule.low)
        assert isinstance(rule, kinds.Ignored), rule
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            return field.message_type._concrete_class()
        if field.type == FieldDescriptor.TYPE_INT32:
            return 2**30
        return "0" * 64 if field.type == FieldDescriptor.TYPE_STRING else 2**62

    def _length(self, low: int, high: int, width: int) -> int:
        length = high if self._left >= high * width else min(high, max(low, 1))
        length = self._random.choice((length, min(high, max(low, 1))))
        self._left -= length * width
        return length

    def _json(self) -> Struct:
        made = Struct()
        if self._left > 70_000 and self._random.random() < 0.3:
            self._left -= 70_000
            made["k"] = self._random.choice(
                ([None] * 13_000, [0] * 32_000, {str(n): n for n in range(4_000)})
            )
            return made
        deep: Any = 1
        for _ in range(14):
            deep = self._random.choice(({"k": deep}, [deep]))
        made["k"] = deep
        return made


@pytest.mark.slow
@pytest.mark.parametrize("request_class", REQUESTS, ids=lambda each: str(each.DESCRIPTOR.name))
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_valid_request_exceeds_its_bounds(request_class: type[Message], seed: int) -> None:
    made = Maker(seed).message(request_class)
    body = made.SerializeToString()
    parse = PARSERS[request_class]
    assert parse(body) == made
    if len(body) <= SCAN_BYTES:
        # The parser scans only larger ones.
        BOUNDS[request_class].scan(body)
    if len(body) < 65_536:
        assert parse(gzip.compress(body)) == made


def test_a_gzip_stream_that_declares_too_large_a_size_is_not_decompressed() -> None:
    # The bytes before the size are no gzip stream, which decompression would notice.
    body = b"\x1f\x8b" + bytes(2_000) + (1 << 24).to_bytes(4, "little")
    with pytest.raises(InvalidArgument) as caught:
        PARSERS[task_pb2.BatchCreateTasksRequest](body)
    assert caught.value.reason == "REQUEST_TOO_LARGE"


def test_a_gzip_stream_that_declares_too_small_a_size_is_decompressed_within_bounds() -> None:
    body = gzip.compress(bytes(1 << 24))[:-4] + (10).to_bytes(4, "little")
    with pytest.raises(InvalidArgument) as caught:
        PARSERS[task_pb2.BatchCreateTasksRequest](body)
    assert caught.value.reason == "REQUEST_TOO_LARGE"


@pytest.mark.slow
def test_most_generated_requests_are_valid() -> None:
    accepted = 0
    for request_class in REQUESTS:
        for seed in range(5):
            try:
                validate(Maker(seed).message(request_class))
            except InvalidArgument:
                continue
            accepted += 1
    assert accepted > 2 * len(REQUESTS)


@pytest.mark.parametrize("request_class", REQUESTS, ids=lambda each: str(each.DESCRIPTOR.name))
def test_every_request_is_bounded_in_bytes_and_in_each_of_its_lists(request_class: type[Message]) -> None:
    most = BOUNDS[request_class]
    large = any(isinstance(rule, kinds.Items | kinds.Sub | kinds.Masked | kinds.Json)
                for rule in RULES[request_class].values())  # fmt: skip
    if not large:
        assert most.most_bytes <= 512 * 1024
    for field in request_class.DESCRIPTOR.fields:
        # More empty strings, messages or zeros than any list may have items.
        body = _varint(field.number << 3 | 2) + b"\x00"
        if field.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE):
            body = _varint(field.number << 3) + b"\x00"
        with pytest.raises(TooMany):
            most.scan(body * 20_001)


@pytest.mark.parametrize(
    "body",
    [
        bytes([15 << 3 | 2, 0]) * 20_001,
        b"\xf8\x07\x01" * 20_001,
        (b"\x0a\x00" + b"\xf8\x07\x01" * 21) * 1_000,
        b"\x0b" * 10,
    ],
)
def test_unknown_fields_are_bounded(body: bytes) -> None:
    with pytest.raises(TooMany):
        BOUNDS[task_pb2.BatchCreateTasksRequest].scan(body)


def test_a_batch_of_a_newer_client_is_accepted() -> None:
    """Each of a thousand items has fields that this release does not know."""
    item = task_pb2.CreateTaskRequest(task=factories.task("T", description="x" * 2_000)).SerializeToString()
    newer = item + b"\xf8\x7f\x01" * 20
    body = b"".join(b"\x0a" + _varint(len(newer)) + newer for _ in range(1_000))
    BOUNDS[task_pb2.BatchCreateTasksRequest].scan(body)
    assert len(task_pb2.BatchCreateTasksRequest.FromString(body).tasks) == 1_000


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_the_scan_survives_any_bytes(body: bytes) -> None:
    for request_class in (task_pb2.BatchCreateTasksRequest, event_pb2.EmitEventsRequest):
        with suppress(TooMany):
            BOUNDS[request_class].scan(body * (1 + SCAN_BYTES // max(1, len(body))))


PARSE = """
import sys
from orchestration.v1 import event_pb2, task_pb2
from orchestration_server.validation import RULES
from orchestration_server.validation.wire_bounds import TooMany, bounds_of

def field(number, body):
    size, prefix = len(body), bytearray()
    while size > 0x7F:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *prefix, size]) + body

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def number(message, name):
    return message.DESCRIPTOR.fields_by_name[name].number

metadata = number(task_pb2.Task, "metadata")
labels = number(task_pb2.Task, "labels")
events = number(event_pb2.EmitEventsRequest, "events")
payload = number(event_pb2.NewEvent, "payload")
tasks = task_pb2.BatchCreateTasksRequest

def task(body):
    return field(1, field(1, body))

def json(values):
    return field(1, b"\\x0a\\x01k" + field(2, field(6, values)))

makers = {
    "tasks": (tasks, lambda n: field(1, field(1, b"")) * n),
    "labels": (tasks, lambda n: task(field(labels, b"") * 50) * (n // 50)),
    "nulls": (tasks, lambda n: task(field(metadata, json(field(1, b"\\x08\\x00") * (n // 500)))) * 500),
    "values": (tasks, lambda n: task(field(metadata, json(field(1, b"") * (n // 500)))) * 500),
    "keys": (event_pb2.EmitEventsRequest, lambda n: 500 * field(events, field(payload, b"".join(
        field(1, field(1, b"%05x" % k)) for k in range(n // 500))))),
    "unknown": (tasks, lambda n: (b"\\x0a\\x00" + b"\\xf8\\x07\\x01") * n),
}
message, make = makers[sys.argv[1]]
scan, most = bounds_of(message, RULES).scan, 16000
def passes(n):
    body = make(n)
    try:
        scan(body)
    except TooMany:
        return False
    return len(body) <= 16 << 20
if sys.argv[2] == "guarded":
    while passes(most * 2) and most < 1 << 22:
        most *= 2
    step = most
    while step > max(16000, most // 8):
        step //= 2
        most += step if passes(most + step) else 0
else:
    most = 1 << 19
body = make(most)
before = resident()
kept = message.FromString(body)
print(len(body), resident() - before)
"""


def grown(case: str, guard: str) -> int:
    """Measure the memory of the densest request that passes the scan, in another process."""
    ended = subprocess.run(
        [sys.executable, "-c", PARSE, case, guard], capture_output=True, text=True, check=True, timeout=110
    )
    return int(ended.stdout.split()[1])


@pytest.mark.slow
@pytest.mark.parametrize("case", ["tasks", "labels", "nulls", "values", "keys", "unknown"])
def test_a_request_that_passes_the_scan_takes_bounded_memory(case: str) -> None:
    assert grown(case, "guarded") < 48 * 1024 * 1024


@pytest.mark.slow
def test_without_the_scan_a_request_takes_more_memory() -> None:
    assert grown("tasks", "unguarded") > 100 * 1024 * 1024

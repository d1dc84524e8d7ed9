"""How many tokens a context has, and a tokenizer of words and signs."""

import json
import re

from google.protobuf import json_format

from orchestration.v1 import context_pb2

_TOKEN = re.compile(r"\w+|[^\w\s]")


def tokens_of(context: context_pb2.Context) -> int:
    """As Context.token_estimate documents it."""
    told = json_format.MessageToDict(context, preserving_proto_field_name=True)
    told.pop("token_estimate", None)
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return -(-len(text.encode()) // 4)


def count(text: str) -> int:
    """How many there are in a text."""
    return len(_TOKEN.findall(text))


def wordy(text: str) -> str:
    """No tokenizer."""
    return text

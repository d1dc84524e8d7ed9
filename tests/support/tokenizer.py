"""How many tokens a context has, and a tokenizer of words and signs."""

import json
import re
import warnings
from collections.abc import Callable

from google.protobuf import json_format

from orchestration.v1 import context_pb2
from orchestration_server.context.token_estimate import estimate, tokens

_TOKEN = re.compile(r"\w+|[^\w\s]")


def tokens_of(context: context_pb2.Context) -> int:
    """Return the estimate of the whole context as one text, which is not added up of its parts."""
    told = json_format.MessageToDict(context, preserving_proto_field_name=True)
    told.pop("token_estimate", None)
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return tokens(estimate(text))


def count(text: str) -> int:
    """How many there are in a text."""
    return len(_TOKEN.findall(text))


def wordy(text: str) -> str:
    """No tokenizer."""
    return text


def real_tokenizer(name: str) -> Callable[[str], int]:
    """Return what counts tokens as a public encoding does, such as "o200k_base"."""
    with warnings.catch_warnings():
        # It opens its ranks by a function that is deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        import bpe_openai

        encode = bpe_openai.get_encoding(name).encode
    return lambda text: len(encode(text, disallowed_special=()))

"""The number of tokens of a context, and a tokenizer of words and signs."""

import json
import re
import warnings
from collections.abc import Callable

from google.protobuf import json_format

from orchestration.v1 import context_pb2
from orchestration_server.context.token_estimate import estimate, tokens

_TOKEN = re.compile(r"\w+|[^\w\s]")


def tokens_of(context: context_pb2.Context) -> int:
    """Return the estimate of the whole context as one text, not as a sum of its parts."""
    told = json_format.MessageToDict(context, preserving_proto_field_name=True)
    told.pop("token_estimate", None)
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return tokens(estimate(text))


def count(text: str) -> int:
    """Return the number of tokens of a text."""
    return len(_TOKEN.findall(text))


def wordy(text: str) -> str:
    """Stand for a module attribute that is no tokenizer."""
    return text


def real_tokenizer(name: str) -> Callable[[str], int]:
    """Return a function that counts tokens by a public encoding, such as "o200k_base"."""
    with warnings.catch_warnings():
        # The package opens its ranks with a deprecated function.
        warnings.simplefilter("ignore", DeprecationWarning)
        import bpe_openai

        encode = bpe_openai.get_encoding(name).encode
    return lambda text: len(encode(text, disallowed_special=()))

"""`call`: any rpc, with its request as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any

import typer

from orchestration.cli import completion_codes as codes
from orchestration.cli.exit_codes import USAGE
from orchestration.cli.output import Answer
from orchestration.cli.refusal import Refusal
from orchestration.cli.verb import Session, verb


@verb
def call(
    session: Session,
    rpc: Annotated[
        str,
        typer.Argument(
            metavar="RPC",
            help="Service/Method, such as TaskService/GetTask; none to list all.",
            autocompletion=codes.methods,
        ),
    ] = "",
    request: Annotated[
        str,
        typer.Argument(
            metavar="JSON",
            help="The request, or a list of them for a stream; - reads standard input.",
        ),
    ] = "{}",
    timeout: Annotated[float, typer.Option(min=0.1, help="The seconds to wait for the answer.")] = 10.0,
) -> Answer | None:
    """Call an rpc with a request in JSON, and print the response as JSON.

    Fields have the names of the protos, and enum values may be short words such as
    in_progress. A stream prints one response a line, until it ends or Ctrl-C.
    """
    from orchestration.cli import documents, rpcs

    if not rpc:
        names = rpcs.methods()
        return Answer({"rpcs": names}, names, names)
    found = rpcs.find(rpc)
    document = _read(request)
    if found.client_streams:
        items = document if isinstance(document, list) else [document]
        sent: Any = iter([documents.from_document(one, found.request()) for one in items])
    elif isinstance(document, dict):
        sent = documents.from_document(document, found.request())
    else:
        raise Refusal("the request is no JSON object", fix="write it as '{\"field\": value}'", code=USAGE)
    bound = found.bound(session.connect(session.agent, timeout=timeout))
    if found.server_streams:
        for response in _responses(bound(sent)):
            session.out.document(documents.to_document(response))
        return None
    answer = documents.to_document(bound(sent))
    # What has no table is printed as what it is.
    return Answer(answer, [json.dumps(answer, indent=2, ensure_ascii=False)])


def _responses(stream: Any) -> Iterator[Any]:
    try:
        yield from stream
    finally:
        stream.cancel()


def _read(request: str) -> Any:
    text = sys.stdin.read() if request == "-" else request
    with suppress(RecursionError):
        try:
            return json.loads(text)
        except ValueError as error:
            raise Refusal(f"the request is no JSON: {error}", fix="quote it: '{...}'", code=USAGE) from None
    raise Refusal("the request is nested too deeply", code=USAGE)

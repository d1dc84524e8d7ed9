"""A bare grpcio server that answers each method with given bytes, to measure the cost of grpcio itself.

Run it as a process: python -m benchmarks.echo_server ANSWERS READY. ANSWERS is a directory with a file for
each method, named by its path with "+" for slashes. The server writes its address to the file READY.
"""

from __future__ import annotations  # grpc's classes take type arguments in its stubs alone

import signal
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

THREADS = 16  # as many as the ledger's server has
SLASH = "+"


class _Echo(grpc.GenericRpcHandler):
    def __init__(self, answers: Mapping[str, bytes]) -> None:
        self._handlers = {path: self._handler(answer) for path, answer in answers.items()}

    @staticmethod
    def _handler(answer: bytes) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: answer)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        return self._handlers.get(details.method)


def file_name(path: str) -> str:
    return path.replace("/", SLASH)


def main(answers: Path, ready: Path) -> None:
    canned = {file.name.replace(SLASH, "/"): file.read_bytes() for file in answers.iterdir()}
    server = grpc.server(ThreadPoolExecutor(THREADS), handlers=[_Echo(canned)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    signal.signal(signal.SIGTERM, lambda number, frame: server.stop(0))
    partial = ready.with_suffix(".partial")
    partial.write_text(f"127.0.0.1:{port}")
    partial.rename(ready)
    server.wait_for_termination()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

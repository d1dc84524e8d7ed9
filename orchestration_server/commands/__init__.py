"""Commands of `orchestration` that are clients of a running server."""

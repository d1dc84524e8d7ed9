"""A Postgres and a Valkey of the server's own, for a first run and tests. It knows nothing of the server."""

"""The built-in Postgres and Valkey, for a first run and tests. They know nothing of the server."""

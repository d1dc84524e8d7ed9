"""The coordination ledger for agent fleets: a gRPC service over Postgres."""

__version__ = "0.1.0"

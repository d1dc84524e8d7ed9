"""The SQL of the ledger, beside the mapping of its rows."""

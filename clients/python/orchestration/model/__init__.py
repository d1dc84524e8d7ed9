"""Plain values and records: what the ledger's clients take and return."""

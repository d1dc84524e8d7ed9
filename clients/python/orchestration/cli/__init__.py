"""The `orchestration` command: verbs on the work of a ledger, for people and agents."""

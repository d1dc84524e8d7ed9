"""The ledger. `make sync` generates `orchestration._sync` from `orchestration._async`."""

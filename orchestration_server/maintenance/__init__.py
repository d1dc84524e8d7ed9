"""Moves events to the archive, and measures how large the ledger is."""

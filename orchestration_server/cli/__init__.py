"""The commands of `orchestration`, one per module."""

"""The commands of `orchestration`, one a file."""

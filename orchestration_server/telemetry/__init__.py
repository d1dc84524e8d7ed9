"""Metrics and their HTTP endpoint, logs, traces."""

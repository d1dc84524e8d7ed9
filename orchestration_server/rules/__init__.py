"""Rules that operators write in YAML, parsed and validated: automation, alerts, emission."""

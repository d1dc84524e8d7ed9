"""`orchestration import`: what other trackers have, as tasks, sprints and events of the ledger."""

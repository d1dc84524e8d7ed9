"""StreamTimeline: one tailer of the log, the live feed, backfill, and one sender."""

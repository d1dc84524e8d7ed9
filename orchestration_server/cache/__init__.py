"""The only user of Redis: its client, a read-through cache, and wakes between servers."""

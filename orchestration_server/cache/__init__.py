"""The only user of Redis: client, read-through cache, wakes between servers."""

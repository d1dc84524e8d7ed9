"""Background services: a name, an interval, and work in batches until there is none left."""

"""Pure functions over the events of an entity: rebuild its state, check a chain."""

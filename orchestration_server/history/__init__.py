"""Pure functions over events: rebuild an entity's state, check a correlation chain."""

"""Everything that appends to the log: the gate, debounce, group commit."""

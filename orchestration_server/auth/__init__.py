"""Who may call, what a key may touch, how often, and the record of what was refused."""

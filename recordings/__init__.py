"""Pages and pictures of real sessions: their commands run in a terminal, and what they print is compared."""

"""Work on tasks: who holds them, how attempts end, and why a task is not ready."""

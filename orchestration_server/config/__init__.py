"""Settings, and the YAML reader that knows line numbers."""

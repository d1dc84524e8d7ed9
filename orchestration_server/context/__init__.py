"""The context broker: sections, token budget, next steps."""

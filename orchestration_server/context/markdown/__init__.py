"""Contexts as Markdown text for models."""

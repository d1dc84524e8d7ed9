"""Conversions between protobuf messages and rows: content, events, cursors, errors."""

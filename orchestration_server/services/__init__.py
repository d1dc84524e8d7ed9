"""The implementations of the rpcs, one service a module."""

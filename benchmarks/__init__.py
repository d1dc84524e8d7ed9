"""Benchmarks of a server of this source tree, and the gate that they must pass.

`python -m benchmarks --help` lists the options. docs/benchmarks.md explains what is measured.
"""

"""Load, ratios and live streams against a server of this tree, and the gate that they must pass.

`python -m benchmarks --help` lists what there is; docs/benchmarks.md explains what is measured.
"""

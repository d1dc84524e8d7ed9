"""The driver of the conformance suite for the Python client: clients/conformance/README.md."""

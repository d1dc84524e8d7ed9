"""The conformance suite of the clients: cases as data, a driver in each language, and one runner."""

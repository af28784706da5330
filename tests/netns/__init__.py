"""Networks for tests: hosts as namespaces, bad lines. docs/testing-networks.md."""

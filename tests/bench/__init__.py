"""Performance harness (`python -m tests.bench`); it shares no code with the servers it measures."""

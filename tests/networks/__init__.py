"""What people see over bad lines, as one table: `python -m tests.networks`."""

"""Sans-I/O forwarding core: bytes and a clock in, batches and events out."""

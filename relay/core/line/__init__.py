"""One viewer's line: what it carries, and what is sent over it. Sans-I/O."""

"""A crowd of viewers in one process."""

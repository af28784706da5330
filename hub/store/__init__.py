"""Shared state of the hub: one small interface, one implementation a file."""

"""Checks of a machine before a broadcast."""

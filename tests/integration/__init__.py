"""Tests over real sockets and processes."""

"""Loaded before every test."""

import relay as relay  # first of all: it decides how OpenSSL is loaded

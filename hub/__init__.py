"""wardcast control plane: roster, tokens, placement, telemetry, pages, CLI."""

import relay as relay  # first of all: it decides how OpenSSL is loaded

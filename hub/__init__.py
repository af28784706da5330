"""wardcast control plane: roster, tokens, placement, telemetry, pages, CLI."""

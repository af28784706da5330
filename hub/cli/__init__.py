"""The wardcast command, one file a subcommand."""

"""The wardcast command. Subcommands are loaded when they are used, so that --help is quick."""

from __future__ import annotations

import importlib
from importlib.metadata import version

import click

COMMANDS = {
    "demo": ("hub.cli.demo", "The whole broadcast on this machine, with a live test source."),
    "hub": ("hub.cli.hub", "Hub, origin and embedded relay from a configuration file."),
    "relay": ("hub.cli.relay", "A relay or origin process beside the hub; drain one."),
    "publish": ("hub.cli.publish", "Publish a test picture, a file or a device to a WHIP URL."),
    "watch": ("hub.cli.watch", "Watch a WHEP URL without a browser, once or hundreds of times."),
    "token": ("hub.cli.token", "Issue and inspect tokens and links."),
    "doctor": ("hub.cli.doctor", "Check this machine and say what to do."),
}


class LazyGroup(click.Group):
    """Lists its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and what they are for."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("wardcast"), prog_name="wardcast")
def main() -> None:
    """Live broadcast from one ward to 63 communes.

    Start with `wardcast demo`: it runs everything on this machine and prints the links to open.
    """


if __name__ == "__main__":
    main()

"""The link between a relay and the hub: its messages and the relay's end."""

"""The whole broadcast on one machine: in one process, or as hub, origin and relays."""

"""The hub's end of the relay tier: links, placement, all nodes as one."""

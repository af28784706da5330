"""Pure machines and formulas of the hub: no I/O, no clock."""

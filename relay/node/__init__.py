"""The relay process: composition of core, transport and signalling."""

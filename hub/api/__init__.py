"""The hub's pages and JSON over HTTP, by audience: everybody, commune, studio, operator."""

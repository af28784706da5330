"""A live source in a process of its own: test picture, file or device, published over WHIP."""

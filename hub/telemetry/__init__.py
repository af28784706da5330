"""Who watches and how well: sessions by polling the node, browsers' own figures, attendance."""

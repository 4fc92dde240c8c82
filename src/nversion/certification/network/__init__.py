"""What is certified: a network as nodes, and how one is made of a module."""

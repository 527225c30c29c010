"""The relay's two sockets: messages, and the ways to read them."""

"""Where every update is: the books, read."""

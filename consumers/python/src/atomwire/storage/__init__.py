"""The tables, and what is written into them."""

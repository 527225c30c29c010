"""The spans of this side."""

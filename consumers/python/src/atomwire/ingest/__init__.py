"""What a relay answers, put in order and stored."""

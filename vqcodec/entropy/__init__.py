"""The exact half of coding: integer prior, integer tables, range coder (numpy, no torch)."""

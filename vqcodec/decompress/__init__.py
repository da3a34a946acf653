"""File to picture: only what reading a .vqc file needs."""

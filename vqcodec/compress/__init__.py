"""Picture to file: only what making a .vqc file needs."""

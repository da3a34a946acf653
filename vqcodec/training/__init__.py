"""Training of the model; never imported by compression or decompression."""

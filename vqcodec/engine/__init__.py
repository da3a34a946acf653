"""The transforms in integers: the same pixels and latents from numpy, torch and C, on every machine."""

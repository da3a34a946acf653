"""Quantisers, contexts and other choices that were measured and not taken."""

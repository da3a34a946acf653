"""Measurements of vqcodec against other codecs; not part of the installed package."""

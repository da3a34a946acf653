"""What `vqcodec.cluster` bears, and how fast it is: see `__main__`."""

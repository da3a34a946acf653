"""The `vqcodec` command. Nothing here imports torch, numpy or Pillow before a command needs them."""

"""The trainable half: transforms, quantiser, prior (torch)."""

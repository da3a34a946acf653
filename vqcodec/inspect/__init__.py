"""What is inside a file or a model, as figures and pictures."""

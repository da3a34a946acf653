"""Weight files: reading, writing, finding, and the model that ships."""

"""Pictures in and out (Pillow): colour, metadata, suffixes."""

"""What files, machines and users may do to the codec: a command each, see CONTRIBUTING.md."""

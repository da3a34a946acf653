"""Many files: what is to be done, worker processes, one report."""

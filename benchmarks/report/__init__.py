"""Tables, curves and pages from result files."""

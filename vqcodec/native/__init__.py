"""C extension modules: what is slow in numpy. They may be missing, where no compiler was found."""

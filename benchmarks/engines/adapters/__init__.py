"""One file for each engine; it runs in its environment, with NumPy and that engine alone."""

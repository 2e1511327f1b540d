"""One file for each engine; it imports NumPy and that engine alone, and runs in its environment."""

"""The pictures of a report, one module each; each gives a ``Picture``."""

"""Lego layers, the networks built from them, and the checkpoint files they come in."""

"""Parity: a converted file against PyTorch in float64, as a whole and layer by layer."""

"""Counts of a network, from a checkpoint or from a converted file."""

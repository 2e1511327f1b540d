"""Sweep: a grid of LegoNets trained alike, converted, measured, and drawn."""

"""Calibration of int8 networks, and what int8 costs."""

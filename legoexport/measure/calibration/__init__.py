"""Calibration: the constants of the cost model, measured on the machine that this runs on."""

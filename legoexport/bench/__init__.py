"""Measuring: one worker process per model, interleaved, ratios with intervals."""

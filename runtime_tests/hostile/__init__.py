"""Campaigns of crafted checkpoints: ``python -m runtime_tests.hostile --count N --seed S``."""

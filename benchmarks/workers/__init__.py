"""Workers of other runtimes, each with the protocol of ``legoexport/ort/worker.py``."""

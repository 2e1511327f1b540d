"""Workers of other runtimes, each with the protocol of ``legoexport/bench/worker.py``."""

"""Workers of other runtimes, each with the protocol of ``legoexport/ort/worker.py``."""

# A program for MNN's Python, which takes what its converter takes.
MNN_CONVERT = "from MNN.tools import mnnconvert; import sys; mnnconvert.convert(sys.argv)"

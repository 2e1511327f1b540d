"""What the models of a race are called, in records and in the document."""

DENSE, DEFAULT, TUNED, NAIVE = "dense", "legoexport", "legoexport, tuned", "naive export"
GROUPED = "grouped"
# Other runtimes, each with its Python module.
OTHERS = {"MNN": "MNN", "OpenVINO": "openvino"}

"""What the models of a race are called, in records and in the document."""

DENSE, DEFAULT, TUNED, NAIVE = "dense", "legoexport", "legoexport, tuned", "naive export"
GROUPED = "grouped"
# Other runtimes, each with its Python module.
OTHERS = {"MNN": "MNN", "OpenVINO": "openvino"}
# The precisions, and the file of each.
DENSE_FP32, DENSE_INT8 = "dense fp32", "dense int8"
LEGO_FP32, LEGO_STORED, LEGO_INT8 = "Lego fp32", "Lego fp32 stored in int8", "Lego int8"
FILES = {
    DENSE_FP32: "dense-fp32.onnx",
    DENSE_INT8: "dense-int8.onnx",
    LEGO_FP32: "lego-fp32.onnx",
    LEGO_STORED: "lego-stored.onnx",
    LEGO_INT8: "lego-int8.onnx",
}

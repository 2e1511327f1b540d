"""onnxruntime-web in Node: ONNX Runtime as WebAssembly, with its CPU provider and with XNNPACK.

1.16.3 is the last release whose WebAssembly holds the XNNPACK execution provider, the kernels that
ONNX Runtime for phones brings. It reads opset 19 and IR 9 at most, and runs on one thread here.
"""

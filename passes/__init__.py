"""ONNX to ONNX rewrites on onnx-ir, one pass a file. Nothing here imports torch."""

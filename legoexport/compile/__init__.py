"""From a torch module to standard ONNX, in stages of immutable values."""

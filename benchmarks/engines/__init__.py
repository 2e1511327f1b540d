"""Our files in the engines that people feed ONNX to: what they make of them."""

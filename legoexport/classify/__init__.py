"""What a file makes of pictures, prepared as in training: ONNX Runtime and Pillow, no torch."""

"""ONNX Runtime: sessions here and in worker processes, and what it runs where."""

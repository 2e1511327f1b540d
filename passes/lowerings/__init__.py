"""Lowerings: strategies that turn a FrozenLego into standard ONNX operators."""

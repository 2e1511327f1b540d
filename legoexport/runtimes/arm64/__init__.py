"""ONNX Runtime's own build for arm64: on processors that qemu emulates, or on the real one.

Emulation computes what the processor computes, instruction by instruction, so it shows wrong
numbers. Its times mean nothing. docs/arm64.md says what has been found with it.
"""

"""ONNX Runtime's own build for arm64: on processors that qemu emulates, or on the real one.

Emulation computes what the processor computes, instruction by instruction, so it shows wrong
numbers; how long it takes says nothing. docs/arm64.md tells what has been found with it.
"""

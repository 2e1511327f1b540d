"""What the matrix is made of: its backbones and its runtimes."""

from __future__ import annotations

BACKBONES = {
    "vgg16": "VGG16",
    "mobilenet": "MobileNet v1",
    "resnet50": "ResNet-50",
}
# The emulated processors come last and by themselves: they take minutes where others take seconds.
RUNTIMES_HERE = ("cpu", "xnnpack", "wasm")
RUNTIMES_EMULATED = ("arm64:max", "arm64:cortex-a72", "arm64:neoverse-n1")
RUNTIMES = (*RUNTIMES_HERE, *RUNTIMES_EMULATED)
BATCH = 2
HYPERPARAMETERS: dict[str, object] = {
    "o": 2,
    "m_ratio": 0.5,
    "classes": 10,
    "input_size": 32,
}

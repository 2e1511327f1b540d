"""legoexport: the mobile deployment toolchain for LegoNet."""

__version__ = "0.1.0"

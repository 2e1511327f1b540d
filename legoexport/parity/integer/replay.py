"""A bundle of a file in int8, replayed: which kernels, and what a runtime is allowed."""

from __future__ import annotations

from legoexport.compile.read_scales import read_scales
from legoexport.lego.file_facts import read_facts
from legoexport.ort.session import RuntimeModel, parse_model
from legoexport.parity.integer.walk import exact_kernels
from legoexport.parity.integer.walk_file import integer_store


def open_to_replay(model_bytes: bytes, threads: int) -> RuntimeModel:
    """Load a model as a bundle has it run in this process.

    One in int8 takes kernels that do not overflow here, as ``verify`` does: what this processor
    makes of a file for another one is not the question.

    Raises:
        UsageError: The bytes are no model, or their metadata is damaged.
    """
    model = parse_model(model_bytes, "the model")
    if read_facts(model).precision != "int8":
        return RuntimeModel(model_bytes, threads)
    kernels = exact_kernels(read_scales(model), integer_store(model))
    return RuntimeModel(model_bytes, threads, exact_integers=kernels)


def growth_elsewhere(model_bytes: bytes, rounding_growth: float) -> float:
    """Return the factor on the limits of a bundle for a runtime with that ``rounding_growth``.

    The order in which integers are summed loses nothing.
    """
    precision = read_facts(parse_model(model_bytes, "the model")).precision
    return 1.0 if precision == "int8" else rounding_growth

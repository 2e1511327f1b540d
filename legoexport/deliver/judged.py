"""Judge a file in fewer bits by the network as it was trained, run on the same inputs."""

from __future__ import annotations

from legoexport.deliver.prove import tensor_sets
from legoexport.deliver.proved import Proved
from legoexport.deliver.request import ConversionRequest
from legoexport.host.progress import Progress
from legoexport.passes.plan import Plan
from legoexport.quantize.cost import RoundingCost
from legoexport.quantize.trained import TWIN, Trained

RUNNING = "running the trained network"


def run_for_integers(request: ConversionRequest, progress: Progress) -> Trained | None:
    """Run the trained network on the real images that a file in int8 is judged on, if any are."""
    options, images = request.options, request.images
    if options.precision == "fp32" or images is None:
        return None
    progress(RUNNING)
    return Trained.of(request.module, request.inputs, options, [images])


def run_for_stored(
    request: ConversionRequest, proved: Proved, progress: Progress
) -> Trained | None:
    """Run it on random inputs and real images, if a file in float stores fewer bits."""
    options, resize = request.options, proved.compiled.resize
    if options.precision != "fp32" or options.store == "fp32":
        return None
    progress(RUNNING)
    sets = tensor_sets(proved.unstamped, request.images, proved.integer_ranges, resize)
    return Trained.of(request.module, request.inputs, options, sets)


def cost_of_rounding(
    trained: Trained | None,
    plan: Plan,
    model_bytes: bytes,
    dense_twin: bytes | None,
    progress: Progress,
) -> RoundingCost | None:
    """Return what fewer bits cost a file; None if nothing was run to judge it by.

    Args:
        trained: The network as it was trained, and what it gives.
        plan: What computes each layer of the file.
        model_bytes: The file, as it is written.
        dense_twin: The dense network that computes the same function, to compare with.
        progress: Called with the name of each step before it starts.
    """
    if trained is None:
        return None
    progress("telling what rounding costs")
    others = {} if dense_twin is None else {TWIN: dense_twin}
    return trained.cost(plan, model_bytes, others)

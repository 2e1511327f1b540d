"""How long a lowering takes on a machine: work over rate, movement over bandwidth, and nodes.

seconds = macs / rate + 4 * floats / bandwidth + nodes * overhead
"""

from __future__ import annotations

from dataclasses import dataclass

from legoexport.passes.lowerings import Site, find_lowering

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Machine:
    """What one machine does in a second, with a given number of threads.

    Attributes:
        macs_per_second: Of a blocked convolution.
        bytes_per_second: Read and written by operators that only move data.
        seconds_per_node: Spent before an operator starts.
    """

    macs_per_second: float
    bytes_per_second: float
    seconds_per_node: float


# Measured with ONNX Runtime 1.32 on an x86-64 server with AVX-512 and 2 MiB of L2 a core: a dense
# 3x3 convolution of 256 maps of 56x56; the gather of 64 maps of 224x224 and the sum after it; a
# chain of convolutions of one pixel. Other machines differ most in the first, and threads multiply
# it by more than the second: measuring beats this model wherever it is possible.
ONE_THREAD = Machine(macs_per_second=90e9, bytes_per_second=24e9, seconds_per_node=0.4e-6)
# A gather moves 64e9 bytes a second here, a reordering 105e9.
FOUR_THREADS = Machine(macs_per_second=312e9, bytes_per_second=100e9, seconds_per_node=5e-6)
MEASURED: dict[int, Machine] = {1: ONE_THREAD, 4: FOUR_THREADS}


def machine_with(threads: int) -> Machine:
    """Return the constants of the largest measured number of threads up to ``threads``."""
    return MEASURED[max(count for count in MEASURED if count <= threads)]


def seconds(site: Site, lowering: str, machine: Machine = ONE_THREAD) -> float:
    """Estimate the time of one image through ``lowering``."""
    footprint = find_lowering(lowering).footprint(site)
    return (
        footprint.compute_bound_macs / machine.macs_per_second
        + FLOAT_BYTES * footprint.floats / machine.bytes_per_second
        + footprint.nodes * machine.seconds_per_node
    )

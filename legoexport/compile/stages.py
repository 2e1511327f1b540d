"""What the stages of the compiler take and give back, each an immutable value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import onnx
import onnx_ir as ir

from legoexport.errors import UsageError
from legoexport.lego.frozen import FrozenLego
from legoexport.lego.normalization import Normalization
from legoexport.lego.output_form import SCORES, check_output
from legoexport.lego.resampling import Resize, Size
from legoexport.lego.scales import Precision, Scales
from legoexport.lego.storage import Store
from legoexport.passes import lego_op
from legoexport.passes.integers import Integers
from legoexport.passes.lowerings import Site
from legoexport.passes.plan import Plan
from legoexport.passes.preference import FASTEST, Preference
from legoexport.passes.resize_pixels import check_source
from legoexport.passes.set_opset import onnx_opset_range
from legoexport.target import CPU, Target

Observer = Callable[["Stage"], None]


@dataclass(frozen=True)
class CompileOptions:
    """What the file is compiled for.

    Attributes:
        target: The runtime.
        opset: Overrides the opset of the target; without it, a network whose operators need a
            higher one gets that.
        dynamic_batch: Overrides the target: leave the batch open, or fix it to the example's.
        plan: A lowering for each layer; None lets ``preference`` choose.
        preference: What the plan saves: latency, memory or file size.
        store: How the file holds banks and dense weights, if it computes in float32.
        precision: What the file computes in; with int8 it holds weights as the target wants them.
        scales: The integers of a network that computes in int8; None to calibrate them.
        pixels: The file takes uint8 pixels ``(b, h, w, c)`` and normalises them by this; None for
            one that takes what the network takes.
        source_size: ``(h, w)`` of the pixels that it takes, where it scales them itself; None for
            one that takes them as large as the network does.
        output: What the file gives, as ``output_form`` has it: scores as the network does,
            probabilities of the classes, or the likeliest of them.
    """

    target: Target = CPU
    opset: int | None = None
    dynamic_batch: bool | None = None
    plan: Plan | None = None
    preference: Preference = FASTEST
    store: Store = "fp32"
    precision: Precision = "fp32"
    scales: Scales | None = None
    pixels: Normalization | None = None
    source_size: Size | None = None
    output: str = SCORES

    def __post_init__(self) -> None:
        check_output(self.output)
        self._check_precision()
        if self.source_size is not None:
            check_source(self.source_size, self.target, takes_pixels=self.pixels is not None)
        lowest, highest = onnx_opset_range()
        if not lowest <= self.final_opset <= highest:
            raise UsageError(
                "this opset cannot be written", received=self.opset, legal=f"{lowest}..{highest}"
            )
        if self.dynamic_batch and not self.target.dynamic_batch:
            raise UsageError(
                f"target {self.target.name} runs nothing with an open batch",
                next_step="give the batch as a number, or take target cpu",
            )

    def _check_precision(self) -> None:
        if self.precision == "fp32":
            return
        if not self.target.int8_lowerings:
            raise UsageError(
                f"target {self.target.name} has no kernels for int8",
                received=f"precision {self.precision}",
                legal="fp32",
                next_step="store weights in half the bytes: --store fp16",
            )
        if self.store not in ("fp32", "int8"):
            raise UsageError(
                "a network that computes in int8 stores int8",
                received=f"store {self.store}",
                next_step="leave --store out",
            )

    @property
    def final_store(self) -> Store:
        """How the file holds banks and dense weights."""
        return self.store if self.precision == "fp32" else self.target.codes

    @property
    def final_dynamic_batch(self) -> bool:
        """Whether the finished file leaves its batch open."""
        return self.target.dynamic_batch if self.dynamic_batch is None else self.dynamic_batch

    @property
    def final_opset(self) -> int:
        """The opset of the finished file, unless the network needs a higher one."""
        return self.target.opset if self.opset is None else self.opset

    @property
    def without_ends(self) -> CompileOptions:
        """The same for a file that takes what the network takes, and gives what it gives."""
        return replace(self, pixels=None, source_size=None, output=SCORES)

    @property
    def in_float(self) -> CompileOptions:
        """The same for a network in float, its weights whole and its plan open."""
        return replace(self, precision="fp32", store="fp32", scales=None, plan=None)

    @property
    def asks_the_cost_model(self) -> bool:
        """Whether the plan depends on the constants of a machine."""
        return self.plan is None and self.preference.asks_the_cost_model(self.target)

    @property
    def cost_model_sha256(self) -> str | None:
        """Digest of the constants that the plan depends on; None for the built-in, or for none."""
        constants = self.preference.constants
        return constants.sha256 if self.asks_the_cost_model and not constants.is_built_in else None


@dataclass(frozen=True)
class Stage:
    """The model as one stage of the compiler left it.

    Attributes:
        name: ``emit``, or the pass that ran.
        model: A snapshot; nothing changes it later.
    """

    name: str
    model: onnx.ModelProto


@dataclass(frozen=True)
class LoweredLayer:
    """A Lego layer in the finished graph.

    Attributes:
        layer: Dotted module name.
        input: Name of the value that enters the layer; of integers if it computes on those.
        output: Name of the value that leaves it.
        lowering: Name of the lowering that computes it.
        frozen: Its tables as they were lowered, batch norm folded in.
        input_size: ``(height, width)`` of the map that enters, in pixels.
        trained_m: Lego filters in the bank before unused ones were dropped.
    """

    layer: str
    input: str
    output: str
    lowering: str
    frozen: FrozenLego
    input_size: tuple[int, int]
    trained_m: int

    @property
    def site(self) -> Site:
        """The layer and its place, as lowerings take it."""
        return Site(self.layer, self.frozen, self.input_size)


@dataclass(frozen=True)
class Prepared:
    """A network up to the point where its lowerings are chosen.

    Attributes:
        model: One LegoConv2d node per layer, batch norm folded, unused pairs dropped.
        options: What it is compiled for.
        trained_m: Lego filters of each layer before unused ones were dropped.
        stages: Names of the stages so far.
        homes: The torch module that each emitted node comes from, by the node's name.
        integers: How it computes in int8; None in a float network, and before it is calibrated.
    """

    model: ir.Model
    options: CompileOptions
    trained_m: Mapping[str, int]
    stages: tuple[str, ...]
    homes: Mapping[str, str]
    integers: Integers | None = None

    @property
    def sites(self) -> list[Site]:
        """The Lego layers, where they stand."""
        nodes = lego_op.find(self.model.graph)
        integers = self.integers
        return [
            Site.of(node, scales=None if integers is None else integers.of(node)) for node in nodes
        ]

    def with_scales(self, scales: Scales) -> Prepared:
        """Return the same network with the integers that it is to compute in."""
        return replace(self, integers=Integers(scales, self.options.target.codes))


@dataclass(frozen=True)
class Compiled:
    """A finished graph and how it came about.

    Attributes:
        model: Standard ONNX, without provenance yet.
        stages: Names of the stages in the order they ran.
        plan: The lowering of each layer.
        layers: The Lego layers in graph order.
        dense_bytes: Bytes of all initializers that belong to no Lego layer, as they are stored.
        store: How banks and dense weights are stored.
        scales: The integers that it computes in, if it does.
        pixels: How it normalises the pixels that it takes; None if it takes what the network takes.
        pixels_remark: Where it does so.
        resize: How it scales them first; None if it does not.
        output: What it gives: scores, probabilities, or the likeliest classes.
        classes_count: Number of classes where it gives only some of them; None where it gives all.
    """

    model: onnx.ModelProto
    stages: tuple[str, ...]
    plan: Plan
    layers: tuple[LoweredLayer, ...]
    dense_bytes: int
    store: Store = "fp32"
    scales: Scales | None = None
    pixels: Normalization | None = None
    pixels_remark: str = ""
    resize: Resize | None = None
    output: str = SCORES
    classes_count: int | None = None

    @property
    def opset(self) -> int:
        """Version of the default domain in the file."""
        return int(next(one.version for one in self.model.opset_import if one.domain == ""))

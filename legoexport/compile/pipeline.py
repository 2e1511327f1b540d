"""The compiler: a frozen network goes through the passes and comes out as standard ONNX."""

from __future__ import annotations

import sys
from types import MappingProxyType

import onnx_ir as ir
from onnx_ir.passes import common as common_passes

from legoexport.compile.emit import emit, module_of
from legoexport.compile.ends import add_ends
from legoexport.compile.example import Example
from legoexport.compile.freeze import FrozenNetwork
from legoexport.compile.stages import (
    Compiled,
    CompileOptions,
    LoweredLayer,
    Observer,
    Prepared,
    Stage,
)
from legoexport.errors import UsageError
from legoexport.lego.storage import Store, recover_weight
from legoexport.passes import lego_op
from legoexport.passes.drop_unused_pairs import DropUnusedPairs
from legoexport.passes.fill_input_channels import FillInputChannels
from legoexport.passes.fold_batch_norm import FoldBatchNorm
from legoexport.passes.integer_plan import integer_plan
from legoexport.passes.keep_floats import KeepFloats
from legoexport.passes.lower_lego import LowerLego
from legoexport.passes.lowerings import INT8_LOWERINGS, Site
from legoexport.passes.lowerings.int8.integers import integers_of
from legoexport.passes.plan import Plan
from legoexport.passes.preference import Preference, preferred_plan
from legoexport.passes.quantize_activations import QuantizeActivations
from legoexport.passes.quantize_weights import QuantizeWeights
from legoexport.passes.recognize_global_pool import RecognizeGlobalPool
from legoexport.passes.set_opset import OpsetTooLow, SetOpset
from legoexport.passes.share_zero_points import ShareZeroPoints
from legoexport.passes.simplify_graph import SimplifyGraph
from legoexport.passes.store_weights import StoreWeights

# onnx-ir leaves tensors of more than 1024 elements alone unless told otherwise. Its faster pass,
# which compares hashes, takes no tensor that lies out of order, such as channels_last weights.
ANY_SIZE = sys.maxsize


def compile_network(
    network: FrozenNetwork,
    example: Example,
    options: CompileOptions,
    observe: Observer | None = None,
) -> Compiled:
    """Run every stage.

    Args:
        network: The frozen network.
        example: One batch of every input, of the size to compile for.
        options: What to compile for.
        observe: Called with a snapshot after each stage.

    Raises:
        UsageError: The network or the plan does not fit the target.
    """
    prepared = prepare(network, example, options, observe)
    return lower(prepared, choose_plan(prepared), observe)


def prepare(
    network: FrozenNetwork,
    example: Example,
    options: CompileOptions,
    observe: Observer | None = None,
) -> Prepared:
    """Run the stages that do not depend on the plan; scales that ``options`` gives are taken."""
    run = _Run(observe)
    dynamic_batch, opset = options.final_dynamic_batch, options.final_opset
    run.stage("emit", emit(network, example, dynamic_batch=dynamic_batch, opset=opset))
    trained_m = {node.layer: node.frozen.m for node in lego_op.find(run.model.graph)}
    homes = {str(node.name): module_of(node) for node in run.model.graph}
    run.apply("recognize_global_pool", RecognizeGlobalPool())
    run.apply("fold_batch_norm", FoldBatchNorm())
    run.apply("drop_unused_pairs", DropUnusedPairs())
    run.apply("merge_equal_initializers", common_passes.DeduplicateInitializersPass(ANY_SIZE))
    prepared = Prepared(
        run.model, options, MappingProxyType(trained_m), tuple(run.names), MappingProxyType(homes)
    )
    return prepared if options.scales is None else prepared.with_scales(options.scales)


def choose_plan(prepared: Prepared) -> Plan:
    """Return the plan that was asked for, or else the one that the target prefers."""
    options = prepared.options
    return preferred(prepared, options.preference) if options.plan is None else options.plan


def preferred(prepared: Prepared, preference: Preference) -> Plan:
    """Return the plan for the precision of ``prepared`` that saves what ``preference`` says."""
    options = prepared.options
    choose = preferred_plan if options.precision == "fp32" else integer_plan
    return choose(prepared.sites, options.target, preference)


def lower(prepared: Prepared, plan: Plan, observe: Observer | None = None) -> Compiled:
    """Run the stages from the plan on; ``prepared`` can be lowered again with another plan.

    Raises:
        UsageError: The plan does not fit the network or the target.
    """
    options = prepared.options
    plan.check(prepared.sites, options.target)
    _check_floats(plan, prepared.model.graph)
    run = _Run(observe)
    run.model = prepared.model.clone()
    integers, store = prepared.integers, options.final_store
    if integers is not None:
        quantize = QuantizeActivations(integers.scales, floats(plan))
        run.apply("quantize_activations", quantize)
    ends = add_ends(options, run.apply)
    nodes = list(lego_op.find(run.model.graph))
    layers = tuple(_lowered(node, plan, prepared.trained_m[node.layer]) for node in nodes)
    dense_bytes = _dense_bytes(run.model.graph, store)
    run.apply("lower_lego", LowerLego(plan, integers))
    if integers is not None:
        run.apply("quantize_weights", QuantizeWeights(integers.store, plan.floats))
        if options.target.whole_fours:
            run.apply("fill_input_channels", FillInputChannels())
        run.apply("share_zero_points", ShareZeroPoints())
        run.apply("keep_floats", KeepFloats())
    run.set_opset(options)
    if integers is None:  # onnxsim would expand what is to be folded only when a session is made
        run.apply("simplify_graph", SimplifyGraph())
    if store != "fp32":
        run.apply("store_weights", StoreWeights(store))
    return Compiled(
        model=ir.to_proto(run.model),
        stages=(*prepared.stages, *run.names),
        plan=plan,
        layers=layers,
        dense_bytes=dense_bytes,
        store=store,
        scales=None if integers is None else integers.scales,
        pixels=options.pixels,
        pixels_remark=ends.pixels_remark,
        resize=ends.resize,
        output=options.output,
        classes_count=ends.classes_count,
    )


def _check_floats(plan: Plan, graph: ir.Graph) -> None:
    dense = [str(node.name) for node in graph if not node.domain]
    unknown = sorted(set(plan.floats).difference(dense))
    if unknown:
        raise UsageError(
            'the plan\'s "float" names nodes that do not exist',
            received=", ".join(unknown),
            legal="nodes of dense layers, as --save-plan and the table of layers name them",
        )


def floats(plan: Plan) -> frozenset[str]:
    """Return the dense nodes and the Lego layers that stay float in a network of integers."""
    lego = (layer for layer, name in plan.lowerings.items() if name not in INT8_LOWERINGS)
    return frozenset((*plan.floats, *lego))


class _Run:
    """The model between stages, and the observer who looks at it."""

    model: ir.Model

    def __init__(self, observe: Observer | None) -> None:
        self.observe = observe
        self.names: list[str] = []

    def stage(self, name: str, model: ir.Model) -> None:
        self.model = model
        self.names.append(name)
        if self.observe:
            self.observe(Stage(name, ir.to_proto(model)))

    def apply(self, name: str, rewrite: ir.passes.PassBase) -> None:
        self.stage(name, rewrite(self.model).model)

    def set_opset(self, options: CompileOptions) -> None:
        """Write the opset of the target, or the lowest one above it that the network needs."""
        emitted = self.model.opset_imports[""]
        for opset in range(options.final_opset, emitted):
            try:
                self.apply("set_opset", SetOpset(opset, options.target.ir_version))
            except OpsetTooLow:
                if options.opset is not None:
                    raise
            else:
                return
        self.apply(
            "set_opset", SetOpset(max(options.final_opset, emitted), options.target.ir_version)
        )


def _lowered(node: lego_op.LegoNode, plan: Plan, trained_m: int) -> LoweredLayer:
    lowering = plan.lowerings[node.layer]
    x = integers_of(node.x) if lowering in INT8_LOWERINGS else node.x
    return LoweredLayer(
        layer=node.layer,
        input=lego_op.final_name(x),
        output=lego_op.final_name(node.y),
        lowering=lowering,
        frozen=node.frozen,
        input_size=Site.of(node).input_size,
        trained_m=trained_m,
    )


def _dense_bytes(graph: ir.Graph, store: Store) -> int:
    lego = {value.name for node in lego_op.find(graph) for value in node.node.inputs[1:] if value}
    tensors = {
        name: value.const_value for name, value in graph.initializers.items() if name not in lego
    }
    return sum(_stored_bytes(tensor, store) for tensor in tensors.values() if tensor is not None)


def _stored_bytes(tensor: ir.TensorProtocol, store: Store) -> int:
    if store == "fp32" or tensor.dtype != ir.DataType.FLOAT:
        return tensor.nbytes
    found = recover_weight(tensor.numpy(), store)
    return tensor.nbytes if found is None else found[0].nbytes

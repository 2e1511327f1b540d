"""Models as ONNX text: written before a pass, read after it.

Declared values that no node makes are initializers. Numbers are drawn for those that have none, all
of them positive, so that they may be variances.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import numpy_helper, parser, printer
from onnx_ir.passes.common import ShapeInferencePass

from runtime_tests.layers import run


def parse(text: str, opset: int = 17, ir_version: int = 8) -> ir.Model:
    """Read ``(type[shape] input) => (type output) <type[shape] initializer> { nodes }``."""
    header = f'<ir_version: {ir_version}, opset_import: ["" : {opset}, "legoexport" : 1]> g '
    proto = parser.parse_model(header + text)
    _draw_numbers(proto.graph)
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    model = ir.from_proto(proto)
    if not any(node.domain for node in model.graph):
        del model.opset_imports["legoexport"]
    return ShapeInferencePass()(model).model


def shown(model: ir.Model) -> str:
    """Show the nodes, the initializers they read, and what enters and leaves, a line each.

    Inner values and initializers are numbered as they are met, so that equal text means equal up to
    their names. Weights show their shape, tables of integers their numbers.
    """
    return "\n".join(_lines(ir.to_proto(model).graph))


def rewritten(
    rewrite: ir.passes.PassBase, before: ir.Model, after: str, opset: int = 17
) -> ir.Model:
    """Apply ``rewrite``; what comes out is ``after``, and a second time changes nothing."""
    result = rewrite(before)
    assert result.modified
    assert shown(result.model) == shown(parse(after, opset))
    again = rewrite(result.model)
    assert not again.modified
    assert shown(again.model) == shown(parse(after, opset))
    return result.model


def declined(rewrite: ir.passes.PassBase, before: ir.Model) -> None:
    """Apply ``rewrite``; the model stays as it is."""
    unchanged = shown(before)
    result = rewrite(before)
    assert not result.modified
    assert shown(result.model) == unchanged


def numbers(model: ir.Model, batch: int = 2) -> NDArray[np.float32]:
    """What ONNX Runtime gives for one random input."""
    shape = model.graph.inputs[0].shape
    assert shape is not None
    sizes = [size if isinstance(size, int) else batch for size in shape]
    return run(model, np.random.default_rng(7).standard_normal(sizes).astype(np.float32))


def _draw_numbers(graph: onnx.GraphProto) -> None:
    rng = np.random.default_rng(0)
    made = {name for node in graph.node for name in node.output}
    for value in [one for one in graph.value_info if one.name not in made]:
        tensor_type = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor_type.elem_type)
        drawn = rng.uniform(0.1, 2.0, [dim.dim_value for dim in tensor_type.shape.dim])
        graph.initializer.append(numpy_helper.from_array(drawn.astype(dtype), value.name))
        graph.value_info.remove(value)


def _lines(graph: onnx.GraphProto) -> Iterator[str]:
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    yield f"{[value.name for value in graph.input]} => {[value.name for value in graph.output]}"
    for node in graph.node:
        for name in filter(None, node.input):
            if name in tensors and name not in names:
                names[name] = f"w{len(names)}"
                yield f"{names[name]} = {_contents(tensors[name])}"
        for name in node.output:
            names.setdefault(name, f"v{len(names)}")
        yield _node_line(node, names)
    for name in tensors.keys() - names.keys():
        yield f"nothing reads {name}"


def _contents(tensor: onnx.TensorProto) -> str:
    array = numpy_helper.to_array(tensor)
    numbers_shown = f" {array.tolist()}" if array.dtype.kind == "i" else ""
    return f"{array.dtype}{list(array.shape)}{numbers_shown}"


def _node_line(node: onnx.NodeProto, names: dict[str, str]) -> str:
    plain = onnx.NodeProto(op_type=node.op_type, domain=node.domain)
    plain.input.extend(names.get(name, name) for name in node.input)
    plain.output.extend(names[name] for name in node.output)
    plain.attribute.extend(sorted(node.attribute, key=lambda attribute: attribute.name))
    return str(printer.to_text(plain)).strip()

"""Provenance: what a converted file says about where it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from types import MappingProxyType

import onnx

from legoexport.compile.read_scales import read_scales
from legoexport.compile.stages import Compiled, LoweredLayer
from legoexport.lego.counts import LegoShape
from legoexport.lego.file_facts import PREFIX, Colours, ImageFacts, Scaling, damaged, read_facts
from legoexport.lego.layer_records import LAYERS_KEY, LayerRecord, write_layers
from legoexport.lego.normalization import Normalization
from legoexport.lego.output_form import SCORES
from legoexport.version import __version__

# Stands in the place of a checkpoint's digest.
FROM_MODULE = "none: converted from a live module"
# As train reads pictures.
COLOURS: Mapping[int, Colours] = {1: "grey", 3: "RGB"}
IMAGE_RANK, SCORES_RANK = 3, 2
PACKAGES = ("torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "onnxsim", "numpy")


def stamp(
    compiled: Compiled,
    *,
    checkpoint_sha256: str | None,
    target: str,
    relative_error: float,
    normalization: Normalization | None = None,
    class_names: tuple[str, ...] = (),
    cost_model_sha256: str | None = None,
    integer_ranges: Mapping[str, tuple[int, int]] = MappingProxyType({}),
    calibration: str | None = None,
) -> onnx.ModelProto:
    """Return a copy of the compiled model that carries its provenance in ``metadata_props``.

    Nothing in it depends on the time, the user or a path: the same checkpoint and the same
    constants give the same bytes. Only a plan that depends on measured constants names their
    digest. A network that computes in int8 says how it was calibrated: ``calibration`` is JSON.
    Names of classes are kept if there is one for each score.
    """
    facts = {
        "checkpoint_sha256": checkpoint_sha256 or FROM_MODULE,
        "target": target,
        "versions": json.dumps(installed_versions()),
        "measured_relative_error": f"{relative_error:.3g}",
        "cost_model_sha256": cost_model_sha256,
        "calibration": calibration,
        **_compiled_facts(compiled),
        **_end_facts(compiled, normalization, class_names),
        **_range_facts(integer_ranges),
    }
    model = onnx.ModelProto()
    model.CopyFrom(compiled.model)
    model.producer_name, model.producer_version = "legoexport", __version__
    del model.metadata_props[:]
    for key, value in sorted(facts.items()):
        if value is not None:
            model.metadata_props.add(key=PREFIX + key, value=value)
    return model


def _compiled_facts(compiled: Compiled) -> dict[str, str | None]:
    """Return how the network was compiled, and what its layers became."""
    in_float = compiled.scales is None
    return {
        "mask_sha256": mask_digest(compiled.layers),
        "plan": compiled.plan.to_json(),
        "passes": json.dumps(compiled.stages),
        LAYERS_KEY.removeprefix(PREFIX): write_layers(map(_record, compiled.layers)),
        "precision": "fp32" if in_float else "int8",
        "scales_sha256": None if in_float else read_scales(compiled.model).sha256(),
        "store": None if compiled.store == "fp32" else compiled.store,
    }


def _end_facts(
    compiled: Compiled, normalization: Normalization | None, class_names: tuple[str, ...]
) -> dict[str, str | None]:
    """Return what the file takes and gives."""
    graph, resize, count = compiled.model.graph, compiled.resize, compiled.classes_count
    takes_pixels = compiled.pixels is not None
    image = image_facts(graph, normalization, takes_pixels=takes_pixels, scales=resize is not None)
    named = class_names and len(class_names) == (count or classes_count(graph))
    return {
        "image": None if image is None else image.to_json(),
        "normalization": None if normalization is None else normalization.to_json(),
        "resize": None if resize is None else resize.to_json(),
        "output": None if compiled.output == SCORES else compiled.output,
        "classes_count": None if count is None else str(count),
        "class_names": json.dumps(class_names) if named else None,
    }


def _range_facts(integer_ranges: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Return the ranges of integer inputs, and their digest.

    They came from the example, which nobody has when the file is rebuilt to be compared.
    """
    if not integer_ranges:
        return {}
    text = json.dumps(dict(integer_ranges))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"integer_ranges": text, "integer_ranges_sha256": digest}


def read_stamp(model: onnx.ModelProto) -> Mapping[str, str]:
    """Return the provenance of ``model`` without the prefix; empty if there is none."""
    return read_facts(model).entries


def read_integer_ranges(model: onnx.ModelProto) -> dict[str, tuple[int, int]]:
    """Return the smallest and the largest value to check integer inputs with, by their names.

    Raises:
        UsageError: What the file says is damaged.
    """
    text = read_stamp(model).get("integer_ranges", "{}")
    try:
        return {name: (int(low), int(high)) for name, (low, high) in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise damaged("integer_ranges", error, None) from None


def image_facts(
    graph: onnx.GraphProto,
    normalization: Normalization | None,
    *,
    takes_pixels: bool,
    scales: bool = False,
) -> ImageFacts | None:
    """Return what image a graph takes; None if it takes anything else.

    Args:
        graph: The finished graph.
        normalization: Of the pictures in training. Where it is known, so is how they were read.
        takes_pixels: Whether it takes pixels as decoded, and normalises them itself.
        scales: Whether it scales them itself too.
    """
    if len(graph.input) != 1:
        return None
    tensor = graph.input[0].type.tensor_type
    _, *sizes = [one.dim_value for one in tensor.shape.dim] or [0]
    expected = onnx.TensorProto.UINT8 if takes_pixels else onnx.TensorProto.FLOAT
    if tensor.elem_type != expected or len(sizes) != IMAGE_RANK or not all(sizes):
        return None
    channels, height, width = (sizes[2], *sizes[:2]) if takes_pixels else sizes
    colours = COLOURS.get(channels, "unknown") if normalization else "unknown"
    if takes_pixels:
        resize: Scaling = "in the file" if scales else "crop to aspect, bicubic"
        return ImageFacts("NHWC", "uint8", height, width, channels, colours, resize)
    return ImageFacts("NCHW", "float32", height, width, channels, colours)


def classes_count(graph: onnx.GraphProto) -> int | None:
    """Return how many scores a graph gives for each image; None if it gives anything else."""
    shapes = [one.type.tensor_type.shape.dim for one in graph.output]
    if len(shapes) != 1 or len(shapes[0]) != SCORES_RANK:
        return None
    return shapes[0][1].dim_value or None


def mask_digest(layers: tuple[LoweredLayer, ...]) -> str:
    """SHA-256 over the names and masks of all Lego layers, as they were lowered."""
    digest = hashlib.sha256()
    for layer in layers:
        digest.update(f"{layer.layer}={layer.frozen.mask_digest()}\n".encode())
    return digest.hexdigest()


def _record(layer: LoweredLayer) -> LayerRecord:
    frozen = layer.frozen
    shape = LegoShape(
        o=frozen.o,
        m=layer.trained_m,
        n=frozen.n,
        c=frozen.c,
        kernel=frozen.kernel,
        stride=frozen.stride,
        padding=frozen.padding,
        dilation=frozen.dilation,
        input_size=layer.input_size,
        filters_used=frozen.m,
        pairs_used=frozen.selection.pair_count,
    )
    return LayerRecord(layer.layer, layer.input, layer.output, layer.lowering, shape)


def installed_versions() -> dict[str, str]:
    """Return the versions of legoexport and of the packages that a file names."""
    return {"legoexport": __version__} | {name: _version(name) for name in PACKAGES}


@cache
def _version(package: str) -> str:
    """Read it from the disk once: it takes longer than the rest of the stamp."""
    return metadata.version(package)

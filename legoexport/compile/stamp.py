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
    model = onnx.ModelProto()
    model.CopyFrom(compiled.model)
    model.producer_name, model.producer_version = "legoexport", __version__
    facts = {
        "checkpoint_sha256": checkpoint_sha256 or FROM_MODULE,
        "mask_sha256": mask_digest(compiled.layers),
        "target": target,
        "plan": compiled.plan.to_json(),
        "passes": json.dumps(compiled.stages),
        "versions": json.dumps(installed_versions()),
        LAYERS_KEY.removeprefix(PREFIX): write_layers(map(_record, compiled.layers)),
        "measured_relative_error": f"{relative_error:.3g}",
        "precision": "fp32" if compiled.scales is None else "int8",
    }
    image = image_facts(
        model.graph,
        normalization,
        takes_pixels=compiled.pixels is not None,
        scales=compiled.resize is not None,
    )
    if image is not None:
        facts["image"] = image.to_json()
    if class_names and len(class_names) == (compiled.classes_count or classes_count(model.graph)):
        facts["class_names"] = json.dumps(class_names)
    if normalization:
        facts["normalization"] = normalization.to_json()
    if compiled.resize is not None:
        facts["resize"] = compiled.resize.to_json()
    if compiled.output != SCORES:
        facts["output"] = compiled.output
    if compiled.classes_count is not None:
        facts["classes_count"] = str(compiled.classes_count)
    if cost_model_sha256 is not None:
        facts["cost_model_sha256"] = cost_model_sha256
    if compiled.store != "fp32":
        facts["store"] = compiled.store
    if compiled.scales is not None:
        facts["scales_sha256"] = read_scales(model).sha256()
    if calibration is not None:
        facts["calibration"] = calibration
    if integer_ranges:
        ranges = json.dumps(dict(integer_ranges))
        # They came from the example, which nobody has when the file is rebuilt to be compared.
        digest = hashlib.sha256(ranges.encode()).hexdigest()
        facts |= {"integer_ranges": ranges, "integer_ranges_sha256": digest}
    del model.metadata_props[:]
    for key in sorted(facts):
        model.metadata_props.add(key=PREFIX + key, value=facts[key])
    return model


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

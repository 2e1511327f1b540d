"""Checkpoints, read and never executed: from a file to a network with its weights.

It reads legoexport's own checkpoints, a state_dict or a whole pickled model of the published
LegoNet code, and any other state_dict whose network the user names. The formats are the zip and the
legacy format of ``torch.save``, and safetensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from legoexport.errors import UsageError
from legoexport.lego.normalization import Normalization
from legoexport.models.checkpoint.damage import explained
from legoexport.models.checkpoint.files import Content, read_bytes, read_content
from legoexport.models.checkpoint.layout import Layout, find_layout
from legoexport.models.checkpoint.load import absent_counters, check_fit, check_total, load
from legoexport.models.checkpoint.network import (
    Network,
    NetworkChoice,
    check_input,
    find_network,
)
from legoexport.models.checkpoint.published import (
    PUBLISHED_ARCH,
    infer_hyperparameters,
    is_published,
    translate,
)
from legoexport.models.checkpoint.whole_model import check_settings
from legoexport.models.checkpoint.wrapped import with_names_of


@dataclass(frozen=True)
class Checkpoint:
    """A network with the weights of a file.

    Attributes:
        path: The file.
        sha256: Digest of the bytes that were read, hexadecimal.
        container: "zip", "legacy" or "safetensors".
        form: "legoexport", "published state_dict", "published pickled model" or "state_dict".
        module: The network in eval mode, float32 on the CPU.
        arch: Registry name, or ``package.module:factory``.
        hyperparameters: What the network was built with.
        image_shape: ``(channels, height, width)`` of its input; None if it takes other than one
            image.
        stored_dtypes: Types that the file stores its floating weights in, sorted. Other types than
            float32 were converted to it.
        normalization: Of the pictures in training, where the file records it.
        class_names: In the order of the labels, where the file has them.
        notes: What is to be said of the weights, such as which of several were taken.
    """

    path: Path
    sha256: str
    container: str
    form: str
    module: nn.Module
    arch: str
    hyperparameters: Mapping[str, object]
    image_shape: tuple[int, int, int] | None
    stored_dtypes: tuple[str, ...]
    normalization: Normalization | None = None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)`` of the image that the network takes.

        Raises:
            UsageError: It takes something else.
        """
        if self.image_shape is None:
            raise UsageError(
                f"the network of {self.path} takes other inputs than one image",
                legal="an image (channels, height, width)",
                next_step="leave out what is for images: --data, --input image, .ort",
            )
        return self.image_shape


def read_checkpoint(
    path: Path | str,
    *,
    arch: str | None = None,
    hyperparameters: Mapping[str, object] | None = None,
    model: str | None = None,
    input_size: tuple[int, int] | None = None,
    dense: bool = False,
    weights: str | None = None,
    takes_image: bool = True,
) -> Checkpoint:
    """Read a checkpoint. No code in the file runs, and no code that it names.

    Args:
        path: The file.
        arch: Registry name of the network, if the file does not say.
        hyperparameters: Arguments of the network; they override the file's.
        model: The user's own network, ``package.module:factory``; this code is imported and run.
        input_size: Height and width of the input in pixels, if not the architecture's default.
        dense: Whether a network without Lego layers is expected, instead of one with them.
        weights: "model", or "ema" for averaged ones; None takes the model's if the file has both.
        takes_image: Whether the network takes one image; only the user's own may take other inputs.

    Returns:
        The network with its weights.

    Raises:
        CheckpointError: The file is missing or damaged, asks for code, is of no known form, or does
            not fit the network. The message names the file and the layer.
    """
    path = Path(path)
    choice = NetworkChoice(arch, hyperparameters or {}, model, input_size, dense, takes_image)
    data = read_bytes(path)
    with explained(path):
        content = read_content(data)
        layout = _translated(find_layout(content.value, weights), choice)
        check_total(layout.tensors, content.size_bytes)
        network, notes = _filled(layout, choice)
    return _described(path, content, layout, network, notes)


def _filled(layout: Layout, choice: NetworkChoice) -> tuple[Network, tuple[str, ...]]:
    """The network with the weights of the file, all of it checked; what is to be said of them."""
    network = find_network(layout, choice)
    wanted = network.module.state_dict()
    named = with_names_of(wanted, layout.prefix, layout.tensors)
    counters = absent_counters(wanted, named)
    tensors = {**named, **counters}
    check_fit(network.module, tensors)
    if layout.modules:
        check_settings(layout.modules, network.module)
    load(network.module, tensors)
    if choice.input_size is not None:
        check_input(network)
    notes = (layout.note, "num_batches_tracked is not in the file: 0 taken" if counters else "")
    return network, tuple(filter(None, notes))


def _described(
    path: Path, content: Content, layout: Layout, network: Network, notes: tuple[str, ...]
) -> Checkpoint:
    return Checkpoint(
        path=path,
        sha256=content.sha256,
        container=content.container,
        form=layout.form,
        module=network.module,
        arch=network.arch,
        hyperparameters=network.hyperparameters,
        image_shape=network.image_shape,
        stored_dtypes=_stored_dtypes(layout),
        normalization=layout.normalization,
        class_names=layout.class_names,
        notes=notes,
    )


def _translated(layout: Layout, choice: NetworkChoice) -> Layout:
    """The layout under our names, and with the published network's arguments where it holds it."""
    if not is_published(layout.tensors):
        return layout
    tensors = translate(layout.tensors)
    form = layout.form if layout.modules else f"published {layout.form}"
    layout = replace(layout, form=form, tensors=tensors)
    if choice.model or choice.arch not in (None, PUBLISHED_ARCH):
        return layout
    inferred = infer_hyperparameters(tensors)
    return replace(layout, arch=PUBLISHED_ARCH, hyperparameters=inferred)


def _stored_dtypes(layout: Layout) -> tuple[str, ...]:
    dtypes = {tensor.dtype for tensor in layout.tensors.values()}
    return tuple(sorted(str(dtype) for dtype in dtypes if dtype.is_floating_point))

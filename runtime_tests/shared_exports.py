"""An export that torch's exporter gave once is given again to whoever exports the same network.

An export takes a second or more, most of a conversion, and hundreds of tests convert the same few
networks: for another target, another way to store, or to verify the file. What an export gives
depends on the module, its inputs and the options alone; `test_shared_exports.py` holds the shared
ones to it.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from types import SimpleNamespace
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

Export = Callable[..., ir.Model]
# Of all that is kept, so that a worker's memory stays small; a graph counts as a mebibyte.
MOST_BYTES = 2**28
GRAPH_BYTES = 2**20


class SharedExports:
    """Stands in for ``legoexport.compile.export.export``."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._models: OrderedDict[Hashable, tuple[ir.Model, int]] = OrderedDict()

    def __call__(
        self, module: nn.Module, inputs: tuple[Tensor, ...], names: Sequence[str], **options: Any
    ) -> ir.Model:
        """Return a model of the caller's own: the passes rewrite it."""
        key = _key(module, inputs, names, options)
        if key is None:
            return self._export(module, inputs, names, **options)
        if key in self._models:
            self._models.move_to_end(key)
            return self._models[key][0].clone()
        model = self._export(module, inputs, names, **options)
        self._models[key] = model.clone(), _size_bytes(module)
        while sum(size for _, size in self._models.values()) > MOST_BYTES:
            self._models.popitem(last=False)
        return model


def _size_bytes(module: nn.Module) -> int:
    weights = (*module.parameters(), *module.buffers())
    return GRAPH_BYTES + sum(one.nbytes for one in weights)


def _key(module: nn.Module, inputs: object, names: object, options: object) -> Hashable | None:
    """Return what decides over the export; None for a module that cannot be compared."""
    digest = hashlib.sha256()
    try:
        _Contents(digest).dump((module, inputs, names, options))
    except Exception:  # such as a class or a hook that is local to a test: reasons are many
        return None
    # A test may patch these; what was exported before has another function then.
    forwards = tuple(type(one).forward for one in module.modules())
    return digest.digest(), forwards, torch.onnx.export


class _Contents(pickle.Pickler):
    """Digests a value, with tensors as their contents, and which of them lie in one storage.

    torch itself writes addresses, so that equal networks would differ.
    """

    def __init__(self, digest: hashlib._Hash) -> None:
        super().__init__(SimpleNamespace(write=digest.update))
        self._storages: dict[int, int] = {}

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return NotImplemented
        storage = self._storages.setdefault(value.untyped_storage().data_ptr(), len(self._storages))
        layout = (value.shape, value.stride(), value.storage_offset(), str(value.dtype))
        array = value.detach().contiguous().view(torch.uint8) if value.dim() else value.detach()
        content = array.numpy().tobytes()
        return tuple, ((type(value), value.requires_grad, storage, layout, content),)

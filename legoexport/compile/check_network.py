"""What a network must be so that a file can compute for one image what it computes."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from legoexport.errors import UsageError
from legoexport.models.lego_conv import LegoConv2d


def check_network(module: nn.Module) -> None:
    """Check a network in training form.

    Raises:
        UsageError: A Lego layer is one no more, or a batch norm depends on the batch.
    """
    _check_layers_are_whole(module)
    _check_statistics(module)


def _check_layers_are_whole(module: nn.Module) -> None:
    for name, _ in module.named_parameters():
        owner, _, leaf = name.rpartition(".")
        if leaf == "mask_logits" and not isinstance(module.get_submodule(owner), LegoConv2d):
            raise UsageError(
                f"{owner or 'the network'} holds the masks of a Lego layer, but is none any more",
                received=f"{type(module).__name__} with the parameter {name}",
                legal="a network whose Lego layers are LegoConv2d modules",
                next_step="give the network as it was before torch.fx traced it",
            )


def _check_statistics(module: nn.Module) -> None:
    for name, one in module.named_modules():
        if isinstance(one, BatchNorm) and one.running_mean is None:
            raise UsageError(
                f"batch norm {name} keeps no running statistics: what it gives for an image"
                " depends on the others in the batch",
                received=repr(one),
                legal="track_running_stats=True, or a norm of each image such as GroupNorm",
                next_step="switch that on and train, or run training pictures through it in"
                " training mode",
            )

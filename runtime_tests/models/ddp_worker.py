"""One rank of a distributed training step; run as ``ddp_worker.py RANK RANKS FOLDER``.

Reads the layer, its balance weight and the whole batch from ``FOLDER``, takes its share, and saves
the gradients it ends with.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from legoexport.models.lego_conv import LegoConv2d


def main(rank: int, ranks: int, folder: Path) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=ranks
    )
    case = torch.load(folder / "case.pt")
    layer = LegoConv2d(**case["arguments"]).double()
    layer.load_state_dict(case["state"])
    if case["masks_settled"]:
        layer.freeze_masks()
    else:
        layer.balance_masks(case["balance_weight"])
    parallel = DistributedDataParallel(layer)
    parallel(case["x"].chunk(ranks)[rank]).square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in layer.named_parameters()}
    torch.save(gradients, folder / f"gradients{rank}.pt")
    # A rank that leaves while another still talks to it aborts in gloo (torch 2.13).
    distributed.barrier()
    del parallel
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))

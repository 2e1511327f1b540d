"""Joining the processes that torchrun started, and leaving them without harm."""

from __future__ import annotations

import contextlib
import os
import signal
import warnings
from collections.abc import Iterator
from datetime import timedelta

import torch
from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from legoexport.errors import CheckFailed, UsageError
from legoexport.training.loop import Interrupted
from legoexport.training.ranks import ALONE, Ranks

# A process that ends closes its connections, and the others see that at once. This is for a machine
# that vanishes. Longer than the slowest writing or decoding that others wait for.
TIMEOUT = timedelta(minutes=10)
# What gloo and nccl call a peer that is gone; neither has an error class for it.
SIGNS_OF_LOSS = ("gloo", "nccl", "connection", "timed out", "peer")


@contextlib.contextmanager
def joined(device: str | None) -> Iterator[Ranks]:
    """Join the processes of torchrun for the block; without torchrun there is nothing to join.

    Args:
        device: The device that was asked for; it decides between nccl and gloo.

    Raises:
        CheckFailed: Another process is gone.
        UsageError: The processes cannot find one another.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    # Weights of one input channel have strides that DDP and the convolution write differently.
    warnings.filterwarnings("ignore", message="Grad strides do not match")
    # torchrun ends with it those that wait for one that died, in calls that no handler interrupts.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ranks = _join(device)
    try:
        yield ranks
    except RuntimeError as error:
        raise _explained(error, ranks) from error
    except Interrupted:
        _leave()
        raise
    else:
        _leave()


def started_again() -> bool:
    """Whether torchrun has started these processes again after one died (``--max-restarts``)."""
    return _restarts_count() > 0


def _restarts_count() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def _join(device: str | None) -> Ranks:
    accelerated = device.startswith("cuda") if device else torch.cuda.is_available()
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if accelerated:
        torch.cuda.set_device(local_rank)
    backend = "nccl" if accelerated else "gloo"
    try:
        store, rank, count = next(rendezvous("env://", timeout=TIMEOUT))
        # torchrun keeps one store over all starts (torch 2.13); the addresses of processes that are
        # gone must not be found in it.
        fresh = PrefixStore(f"start_{_restarts_count()}", store)
        distributed.init_process_group(
            backend, store=fresh, rank=rank, world_size=count, timeout=TIMEOUT
        )
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            "the processes of this training cannot find one another",
            received=str(error).splitlines()[0],
            next_step="start it with torchrun --nproc-per-node N -m legoexport train ...",
        ) from error
    return Ranks(distributed.get_rank(), distributed.get_world_size(), local_rank)


def _leave() -> None:
    """Leave together: gloo aborts a process whose peer leaves while it still talks (torch 2.13)."""
    distributed.barrier()
    distributed.destroy_process_group()


def _explained(error: RuntimeError, ranks: Ranks) -> Exception:
    message = str(error)
    if not any(sign in message.lower() for sign in SIGNS_OF_LOSS):
        return error
    return CheckFailed(
        f"process {ranks.rank} of {ranks.count}: another process of this training is gone",
        received=message.splitlines()[0][:200],
        next_step="start all of them again with --resume",
    )

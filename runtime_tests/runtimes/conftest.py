"""Tiny networks on one thread: torch's idle threads would only take the cores from other tests."""

from __future__ import annotations

import torch

torch.set_num_threads(1)

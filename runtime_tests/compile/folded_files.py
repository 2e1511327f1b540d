"""A converted layer, and what ``compact`` makes of files that were folded."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import onnx
import torch
from torch import nn

from legoexport.deliver.convert import convert_module
from legoexport.models.lego_conv import LegoConv2d
from runtime_tests.command_line import Finished, legoexport_in
from runtime_tests.networks import randomize


@cache
def _layer() -> bytes:
    torch.manual_seed(0)
    module = randomize(nn.Sequential(LegoConv2d(16, 32, 3, o=2, m=16, padding=1), nn.ReLU()))
    return convert_module(module, torch.zeros(1, 16, 6, 5)).model_bytes


def converted_layer() -> onnx.ModelProto:
    """One layer, whose bank is a quarter of the weights that it stands for."""
    return onnx.load_from_string(_layer())


def compacted(
    folder: Path, folded: onnx.ModelProto, like: onnx.ModelProto, *options: str
) -> Finished:
    onnx.save(folded, folder / "folded.onnx")
    onnx.save(like, folder / "model.onnx")
    arguments = ("folded.onnx", "--like", "model.onnx", "--out", "small.onnx", *options)
    return legoexport_in(folder, "compact", *arguments)


def refused(folder: Path, folded: onnx.ModelProto, like: onnx.ModelProto, code: int) -> str:
    done = compacted(folder, folded, like)
    assert done.returncode == code, done.stderr
    assert not (folder / "small.onnx").exists()
    return done.stderr

"""A training with a teacher goes on to the same bits, with the same teacher only; ranks agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from legoexport.errors import UsageError
from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.registry import build
from legoexport.training.interrupt import Interrupt
from legoexport.training.loop import Interrupted, Watch, run
from legoexport.training.masks import choices
from legoexport.training.precision import EXACT
from legoexport.training.recipe import choose
from legoexport.training.request import TrainingRequest
from legoexport.training.run import carry_out
from legoexport.training.session import Session, Setting
from legoexport.training.state import state_path
from legoexport.training.teacher import Teacher
from runtime_tests.training import processes
from runtime_tests.training.ddp_worker import TAUGHT
from runtime_tests.training.tiny import RECIPE, tiny_data, tiny_net

WORKER = str(Path(__file__).with_name("ddp_worker.py"))
# Sums over a batch in another order, float64: 1e-16 a step; 20 steps amplify it a hundredfold.
TOLERANCE = 1e-12


def dense(folder: Path, seed: int, **hyperparameters: object) -> Path:
    torch.manual_seed(seed)
    path = folder / f"dense{seed}.pt"
    module = build("digits", **hyperparameters)
    write_checkpoint(path, module, arch="digits", hyperparameters=hyperparameters)
    return path


def request(pictures: Path, out: Path, teacher: Path) -> TrainingRequest:
    """Two epochs of ten steps, masks as they are, in float32."""
    changes = {"batch_size": 32, "flips": False, "max_shift_pixels": 1}
    recipe = choose("finetune", epochs=2, changes=changes)
    asked = TrainingRequest("lego_digits", str(pictures), out, recipe, teacher=teacher)
    return replace(asked, threads=1, mixed=False, device="cpu")


def stop_after(asked: TrainingRequest, questions_count: int) -> None:
    """Carry out a training and stop it, as Ctrl-C does; it asks after every step and epoch."""
    answers = iter(number >= questions_count for number in range(1, 100))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Interrupt, "was_asked", lambda _: next(answers))
        with pytest.raises(Interrupted):
            carry_out(asked)


def test_it_goes_on_to_the_same_bits_and_only_with_its_teacher(
    pictures: Path, tmp_path: Path
) -> None:
    teacher, other = dense(tmp_path, 1), dense(tmp_path, 2)
    whole, parts = (request(pictures, tmp_path / name, teacher) for name in ("a.pt", "b.pt"))
    carry_out(whole)
    stop_after(parts, 14)
    position = torch.load(state_path(parts.out))["position"]
    assert (position["epoch"], position["step"]) == (2, 3)
    again = replace(parts, resumes=True)
    for wrong in (replace(again, teacher=other), replace(again, teacher=None)):
        with pytest.raises(UsageError, match="teacher_sha256"):
            carry_out(wrong)
    carry_out(again)
    ended, expected = (torch.load(each.out)["state_dict"] for each in (parts, whole))
    assert all(torch.equal(ended[name], tensor) for name, tensor in expected.items())


def test_finetune_moves_the_weights_and_keeps_the_choices(pictures: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.pt"
    torch.manual_seed(3)
    write_checkpoint(start, build("lego_digits"), arch="lego_digits", hyperparameters={})
    asked = request(pictures, tmp_path / "out.pt", dense(tmp_path, 1))
    results = carry_out(replace(asked, start=start)).results
    before, after = (read_checkpoint(path).module for path in (start, asked.out))
    for old, new in zip(choices(before), choices(after), strict=True):
        assert torch.equal(old, new)
    assert not torch.equal(
        before.state_dict()["features.3.lego"], after.state_dict()["features.3.lego"]
    )
    assert results[0].mean_loss > results[1].mean_loss


def test_a_teacher_of_other_classes_is_refused(pictures: Path, tmp_path: Path) -> None:
    teacher = dense(tmp_path, 1, classes=7)
    with pytest.raises(
        UsageError, match=r"dense1\.pt: the teacher tells other classes apart"
    ) as refused:
        carry_out(request(pictures, tmp_path / "out.pt", teacher))
    assert "7 classes" in str(refused.value)
    assert "10" in str(refused.value)


@pytest.mark.heavy
def test_two_processes_with_a_teacher_end_with_the_weights_of_one(tmp_path: Path) -> None:
    out = tmp_path / "state"
    arguments = [WORKER, str(out), TAUGHT]
    with processes.started(arguments, processes.rank_environments(2)) as ranks:
        for rank in ranks:
            _, errors = rank.communicate(timeout=processes.TIMEOUT_S)
            assert rank.returncode == 0, errors
    teacher = Teacher(tiny_net(torch.float64), EXACT, "digest")
    setting = Setting(tiny_data(torch.float64), RECIPE, teacher=teacher)
    alone = Session(tiny_net(torch.float64), setting)
    run(alone, Watch())
    for number in range(2):
        ended = torch.load(out.with_name(f"state{number}"))
        for name, tensor in alone.module.state_dict().items():
            torch.testing.assert_close(ended["module"][name], tensor, rtol=0, atol=TOLERANCE)
        losses = [result.mean_loss for result in alone.results]
        assert ended["losses"] == pytest.approx(losses, abs=TOLERANCE)

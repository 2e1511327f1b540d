"""One process of a training that is shared; started with torchrun's environment, and a file.

With the word taught behind the file, the network learns from one with its first weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from legoexport.training.distributed import joined
from legoexport.training.loop import Watch, run
from legoexport.training.precision import EXACT
from legoexport.training.session import Session, Setting
from legoexport.training.teacher import Teacher
from runtime_tests.training.tiny import RECIPE, tiny_data, tiny_net

TAUGHT = "taught"


def main(out: Path, *words: str) -> None:
    with joined("cpu") as ranks:
        teacher = Teacher(tiny_net(torch.float64), EXACT, "digest") if TAUGHT in words else None
        setting = Setting(tiny_data(torch.float64), RECIPE, ranks=ranks, teacher=teacher)
        session = Session(tiny_net(torch.float64), setting)
        run(session, Watch())
        content = {
            "module": session.module.state_dict(),
            "average": session.average.module.state_dict(),
            "losses": [result.mean_loss for result in session.results],
            "changed": [result.changed_choices_count for result in session.results],
        }
        torch.save(content, out.with_name(f"{out.name}{ranks.rank}"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

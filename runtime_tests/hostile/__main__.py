"""``python -m runtime_tests.hostile --count N --seed S``: exit code 1 where a count is not 0."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from runtime_tests.hostile.campaign import MOST_BYTES, MOST_SECONDS, run

TOLD_EVERY = 500


def _tell(done: int) -> None:
    if done % TOLD_EVERY == 0:
        print(f"{done} files", file=sys.stderr, flush=True)


def main() -> int:
    """Run a campaign and print its counts."""
    parser = argparse.ArgumentParser(prog="python -m runtime_tests.hostile")
    parser.add_argument("--count", type=int, default=1000, help="files to craft and read")
    parser.add_argument("--seed", type=int, default=0, help="of the first file")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        counts = run(Path(folder), options.count, options.seed, _tell)
    for fault in counts.faults:
        print(fault)
    print(
        f"{options.count} files: {counts.read} read, {counts.refused} refused;"
        f" {counts.executed} executed, {counts.foreign} foreign exceptions,"
        f" {counts.slow} over {MOST_SECONDS:g} s, {counts.large} over {MOST_BYTES / 1e6:.0f} MB,"
        f" {counts.long} long messages"
    )
    return 0 if counts.are_clean else 1


sys.exit(main())

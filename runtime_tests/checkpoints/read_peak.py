"""``python read_peak.py WARM_UP``: what reading dense checkpoints takes.

The first file is read so that everything is imported. Then each line of stdin names a checkpoint
and its architecture, and a fork reads it and answers with JSON. Memory is what that process grew by
at its largest; it reads the first file before, for a fork counts code when it touches it.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

from legoexport.errors import CheckpointError
from legoexport.models.checkpoint import read_checkpoint

STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """The most that this process has had in memory; getrusage would count its parent's too."""
    (kibibytes,) = re.findall(r"VmHWM:\s*(\d+) kB", STATUS.read_text())
    return int(kibibytes) * 1024


def measure(warm_up: str, path: str, arch: str) -> None:
    """Read both files and print what the second took."""
    read_checkpoint(warm_up, arch="digits", dense=True)
    before_bytes, begun_s = peak_bytes(), time.process_time()
    tensors_bytes = 0
    try:
        module = read_checkpoint(path, arch=arch, dense=True).module
        tensors_bytes = sum(each.nbytes for each in module.state_dict().values())
    except CheckpointError:
        pass  # a hostile file has no tensors
    found = {
        "file_bytes": Path(path).stat().st_size,
        "tensors_bytes": tensors_bytes,
        "grown_bytes": peak_bytes() - before_bytes,
        "duration_s": time.process_time() - begun_s,
    }
    print(json.dumps(found), flush=True)


def main(warm_up: str) -> None:
    """Answer until stdin ends; a fork that fails answers with an empty line."""
    read_checkpoint(warm_up, arch="digits", dense=True)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            measure(warm_up, *json.loads(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            print(flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""``python read_peak.py WARM_UP CHECKPOINT ARCH``: what reading a dense checkpoint takes, as JSON.

The first file is read so that everything is imported and touched once. Memory is what the process
grew by at its largest while it read the second.
"""

import json
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


def main(warm_up: str, path: str, arch: str) -> None:
    """Read both files, and print what the second took."""
    read_checkpoint(warm_up, arch="digits", dense=True)
    before_bytes, begun_s = peak_bytes(), time.process_time()
    tensors_bytes = 0
    try:
        module = read_checkpoint(path, arch=arch, dense=True).module
        tensors_bytes = sum(each.nbytes for each in module.state_dict().values())
    except CheckpointError:
        pass  # a hostile file has no tensors
    print(
        json.dumps(
            {
                "file_bytes": Path(path).stat().st_size,
                "tensors_bytes": tensors_bytes,
                "grown_bytes": peak_bytes() - before_bytes,
                "duration_s": time.process_time() - begun_s,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The page's scripts, run by Node."""

from __future__ import annotations

import json
import subprocess
from typing import Any


def script(node: str, body: str, values: object) -> Any:
    """Run ``body`` as a module with ``values`` in hand; return what it prints as JSON."""
    code = f"""
    import {{ readFileSync }} from "node:fs";
    const from = (name) => import(`file://${{process.cwd()}}/` + name);
    const values = JSON.parse(readFileSync(0, "utf8"));
    {body}
    """
    command = [node, "--input-type=module", "-e", code]
    done = subprocess.run(
        command, input=json.dumps(values), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

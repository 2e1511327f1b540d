"""How long work says what it is doing."""

from __future__ import annotations

from collections.abc import Callable

# Called with the name of each step before it starts.
Progress = Callable[[str], None]

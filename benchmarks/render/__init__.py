"""From records to docs/benchmarks.md and its pictures; nothing is measured here."""

from benchmarks.render.document import write_document

__all__ = ["write_document"]

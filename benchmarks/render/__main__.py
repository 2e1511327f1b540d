"""``python -m benchmarks.render``: write the document again from what was measured."""

from benchmarks.render import write_document

if __name__ == "__main__":
    write_document()

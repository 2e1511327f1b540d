"""The machine underneath: files, cache, processor, npm, the terminal."""

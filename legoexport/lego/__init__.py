"""The Lego layer as numbers: tables, counts, and how its parts are named in a file. Never torch."""

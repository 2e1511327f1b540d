"""From a network to a file: compiled, held to its promises, proved, packed."""

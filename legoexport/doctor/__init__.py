"""Doctor: what is known to go wrong with a file on a target, before it does."""

"""Sources of pictures: each is read once, decoded in parallel, and kept in memory."""

"""Objects on a disk, and the index of them."""

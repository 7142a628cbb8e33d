"""Files change hands: what a node owes at an epoch, and how it gets there."""

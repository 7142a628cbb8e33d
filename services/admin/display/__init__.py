"""What operators see on a terminal, and in a pipe."""

"""A storage node: keeps files for the ring, each under its key, whole and durable or not at all."""

"""TritonTube: the services, and what they share."""

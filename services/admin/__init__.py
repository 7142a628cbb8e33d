"""The operator's side of the cluster: forming the ring, its state over gRPC, and the command line."""

"""File contents between the ring's clients and its nodes, beside gRPC: the same calls at less cost.

A message of gRPC that carries a MiB is copied half a dozen times at each end, and wakes up several threads.
Here the bytes go from one socket buffer to the place where they are used. What is asked and answered is
defined in `bulk.proto`; a node names its bulk address in its live key. Whoever can't reach that uses gRPC,
which every node offers.
"""

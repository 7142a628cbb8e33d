"""What the services have in common: pure records and rules, and one module per outside client."""

import os

# gRPC would take part in every fork, and log that it could not, whenever a worker starts ffmpeg. No process
# of ours uses gRPC in a forked child. The variable counts only if it is set before gRPC is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

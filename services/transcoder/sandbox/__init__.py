"""Confinement of the programs that read what strangers uploaded.

ffmpeg's demuxers and decoders are a million lines of C, and an uploaded file is input of somebody's choice.
The format whitelist (`services.transcoder.command`) keeps out the known tricks; this package is for the
unknown ones. Each process that reads a source

- sees no files but the libraries, its input if that is a file, and the folder of its output (Landlock);
- reaches no address but the worker's own feed: it lives in a network namespace with a loopback and one
  listener; where that is not to be had, Landlock leaves it one TCP port;
- can make only the system calls that decoding and encoding take (seccomp): no processes, no other sockets, no
  tracing, no signals to others, no changing of permissions;
- runs without privileges, can gain none, knows no environment variables of ours, and dies with the worker;
- is bounded in processor time, memory, size of files and open files, and first to go where memory runs out.

What a machine does not offer is left out, and said in the log; `TRITONTUBE_SANDBOX=require` makes that an
error.

Why not bubblewrap: it cannot put a process into a network that exists already, and it needs user namespaces,
which containers mostly forbid, whereas Landlock and seccomp work there.
"""

from services.transcoder.sandbox.confine import FAILED
from services.transcoder.sandbox.machine import OPEN, sandbox, strongest
from services.transcoder.sandbox.sandbox import Launch, Layer, Quota, Sandbox

__all__ = ["FAILED", "OPEN", "Launch", "Layer", "Quota", "Sandbox", "sandbox", "strongest"]

"""The storage cluster's protocol under simulation: the real decisions, driven through every mishap.

Everything that decides is the code that runs in production: `changes` (admin), `duties` and `Fence` (node),
`RingView`, `Attempt` and `Search` (clients). What is modelled is the world around it: disks, messages, etcd,
processes, time. One thread, a clock that jumps from event to event, and one source of chance: a seed replays
its run exactly.

- `clock`, `chance`: time and randomness.
- `etcd`, `network`, `node`, `admin`, `clients`: the world's parts.
- `faults`: what goes wrong. `invariants`: what must hold nevertheless, checked whenever something changed.
- `world`: one run. `mutants`: rules taken out, to see that the simulation notices.

`python -m tests.simulation --help` runs many, or one again with its trace.
"""

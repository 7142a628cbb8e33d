"""Random writes, removals, deaths between two system calls and power cuts, against a plain dictionary."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.shared.errors import ConflictError, NotFoundError
from services.shared.ring.placement import partition_of
from services.storage.disk.datafolder import DataFolder, opened
from services.storage.disk.objectfile import BLOCK_BYTES
from services.storage.disk.store import Store
from services.storage.fence import Obstacle
from tests.harness.powercut import Disaster, Killed

VIDEOS = ("0123456789abcdef", "zzzzzzzzzzzzzzzz")
KEYS = tuple(f"{video}/file-{number}" for video in VIDEOS for number in range(4))
CONTENTS = (b"", b"a", b"b" * 1000, b"c" * (BLOCK_BYTES + 7))
EPOCH = 1

keys = st.sampled_from(KEYS)
contents = st.sampled_from(CONTENTS)
deaths = st.none() | st.integers(0, 14)


def read(store: Store, key: str) -> bytes | None:
    try:
        with store.open(key) as file:
            data = b""
            while len(data) < file.info.size_bytes:
                data += file.read(len(data), BLOCK_BYTES)
            assert hashlib.sha256(data).digest() == file.info.sha256
            return data
    except NotFoundError:
        return None


class StoreLife(RuleBasedStateMachine):
    """`held` is what was acknowledged; `doubtful` what a death left open, until the next start shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.temp = tempfile.TemporaryDirectory(prefix="tritontube-store-")
        mount = Path(self.temp.name, "disk")
        mount.mkdir()
        self.root = mount / "data"
        self.disaster = Disaster(mount)
        self.ids: tuple[str, str] | None = None
        self.held: dict[str, bytes] = {}
        self.doubtful: dict[str, set[bytes | None]] = {}

    @initialize()
    def start(self) -> None:
        self.process = ExitStack()
        self.process.enter_context(self.disaster.active())
        self.folder: DataFolder = self.process.enter_context(
            opened(self.root, reserve_fraction=0, capacity_bytes=None)
        )
        ids = (self.folder.identity.node_id, self.folder.identity.disk_id)
        self.ids = self.ids or ids
        assert ids == self.ids
        self.store.fence.adopt(EPOCH)
        for obstacle in Obstacle:
            self.store.fence.clear(obstacle)

    @property
    def store(self) -> Store:
        return self.folder.store

    @rule(key=keys, data=contents, death=deaths)
    def put(self, key, data, death):
        self.disaster.steps_left = death
        try:
            with self.store.stage() as stage:
                stage.append(data)
                created = self.store.publish(stage, key=key, epoch=EPOCH).created
            assert created == (key not in self.held)
            assert self.held.setdefault(key, data) == data
        except ConflictError:
            assert self.held[key] != data
        except Killed:
            if key not in self.held:
                self.doubtful[key] = {None, data}
        self.end_of_step()

    @rule(key=keys, death=deaths)
    def remove(self, key, death):
        self.disaster.steps_left = death
        try:
            assert self.store.remove(key, epoch=EPOCH) == (key in self.held)
            self.held.pop(key, None)
        except Killed:
            if key in self.held:
                self.doubtful[key] = {None, self.held.pop(key)}
        self.end_of_step()

    @rule(lost=st.randoms(use_true_random=True))  # how often it is asked depends on the file system
    def power_cut(self, lost):
        self.die(lambda: lost.random() < 0.5)

    @rule()
    def clean_restart(self):
        self.process.close()
        self.start()
        assert self.store.complete

    def end_of_step(self) -> None:
        if self.disaster.dead:
            self.die()
        self.disaster.steps_left = None

    def die(self, is_lost: Callable[[], bool] | None = None) -> None:
        """Begin again after a kill; after a power cut where `is_lost` is given."""
        self.disaster.dead = True
        try:
            self.folder.store.index.close()
            self.process.close()
        except Killed:
            pass
        if is_lost:
            self.disaster.cut_power(is_lost)
        self.disaster.restart()
        self.start()
        assert not self.store.complete
        for partition in {partition_of(key) for key in KEYS}:
            self.store.reconcile(partition)
        self.store.complete = True
        self.settle_doubts()

    def settle_doubts(self) -> None:
        for key, possible in self.doubtful.items():
            found = read(self.store, key)
            assert found in possible
            if found is not None:
                self.held[key] = found
        self.doubtful.clear()

    @invariant()
    def everything_acknowledged_is_served_and_nothing_else(self):
        if not hasattr(self, "folder"):
            return
        assert {key: data for key in KEYS if (data := read(self.store, key)) is not None} == self.held

    @invariant()
    def the_index_names_exactly_what_is_held(self):
        if not hasattr(self, "folder"):
            return
        listed = [info.key for video in VIDEOS for info in self.store.index.of_video(video)]
        assert listed == sorted(self.held)
        assert {info.key for info in self.store.index.everything()} == set(self.held)
        assert self.store.index.totals.files == len(self.held)
        assert self.store.index.totals.size_bytes == sum(map(len, self.held.values()))

    @invariant()
    def no_temporary_file_is_left(self):
        assert not list(self.root.glob("tmp/*"))

    def teardown(self):
        self.process.close()
        self.temp.cleanup()


TestStoreLife = StoreLife.TestCase
TestStoreLife.settings = settings(
    max_examples=60, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)

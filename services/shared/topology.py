"""The ring as this process knows it: a view kept current from etcd, and used on while etcd is away.

::

    async with Topology.follow(etcd) as topology:
        view = await topology.ready(deadline_s=30)
        view = await topology.refresh()   # what is true now, when somebody knows a newer epoch

A view may be old: that is what epochs are for. It never goes back to an older epoch.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

from tenacity import before_sleep_log, retry, retry_if_exception_type, wait_random_exponential

from services.shared.errors import UnavailableError
from services.shared.etcd import EtcdClient, EventKind, KeyValue, Snapshot, WatchEvent
from services.shared.lifecycle import background
from services.shared.ring.state import (
    LIVE_PREFIX,
    RING_PREFIX,
    STATE_KEY,
    NodeLive,
    RingState,
    table_key,
)
from services.shared.ring.table import RingTable
from services.shared.ring.view import RingView

log = logging.getLogger(__name__)

_MAX_PAUSE_S: Final = 2.0
_UNHEARD: Final = "etcd has not said yet where files are stored; it may be starting or out of reach."
_UNFORMED: Final = "The storage ring has not been formed yet: it waits for its first storage nodes to start."

Listener = Callable[[RingView], None]

_patiently = retry(
    retry=retry_if_exception_type(UnavailableError),
    wait=wait_random_exponential(multiplier=0.1, max=_MAX_PAUSE_S),
    before_sleep=before_sleep_log(log, logging.INFO),
)


class Topology:
    """The newest ring view that this process has seen. Make one with `Topology.follow`."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd
        self._state: RingState | None = None
        self._state_revision = 0
        self._tables: dict[str, RingTable] = {}
        self._live: dict[str, NodeLive] = {}
        self._view: RingView | None = None
        self._listed = False
        self._heard_at_ms = 0
        self._changed = asyncio.Event()
        self._listeners: list[Listener] = []

    @classmethod
    @asynccontextmanager
    async def follow(cls, etcd: EtcdClient) -> AsyncIterator[Topology]:
        """Keep a topology current while the context lasts. Does not wait for etcd: see `ready`."""
        topology = cls(etcd)
        async with background(topology._follow()):
            yield topology

    @property
    def view(self) -> RingView:
        """The newest view known, without asking anyone.

        Raises:
            UnavailableError: the ring has not been formed yet, or etcd could not be asked since the start.
        """
        if self._view is None:
            raise UnavailableError(_UNFORMED if self._listed else _UNHEARD)
        return self._view

    @property
    def revision(self) -> int:
        """The store revision of the state in `view`: what a transaction that changes it compares."""
        return self._state_revision

    @property
    def heard(self) -> bool:
        """Whether etcd has answered since the start; without a view, there is then no ring yet."""
        return self._listed

    @property
    def heard_at_ms(self) -> int:
        """When etcd last told of the ring, in milliseconds since 1970; 0: not yet."""
        return self._heard_at_ms

    @property
    def live(self) -> dict[str, NodeLive]:
        """Every live storage node by id, also before the ring is formed."""
        return dict(self._live)

    async def ready(self, deadline_s: float) -> RingView:
        """Wait until there is a view.

        Raises:
            UnavailableError: there was none within the deadline; says why.
        """
        try:
            async with asyncio.timeout(deadline_s):
                return await self._view_when(lambda _: True)
        except TimeoutError:
            return self.view

    async def refresh(self) -> RingView:
        """Read the ring's state from etcd, linearizably, and return a view at least as new.

        Raises:
            UnavailableError: etcd can't be reached or read, or the ring has not been formed yet.
        """
        kv = await self._etcd.get(STATE_KEY)
        self._note_contact()
        if kv is None:
            raise UnavailableError(_UNFORMED)
        await self._adopt(kv)
        return self.view

    async def wait_for_epoch(self, epoch: int) -> RingView:
        """Wait, for ever if need be, until the view is of this epoch or a later one."""
        return await self._view_when(lambda view: view.epoch >= epoch)

    async def changed(self) -> None:
        """Wait for the next news: of the ring, or of live nodes also while there is no ring."""
        await self._changed.wait()

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each new view from now on (state or live nodes). Returns how to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def _view_when(self, fits: Callable[[RingView], bool]) -> RingView:
        while self._view is None or not fits(self._view):
            await self._changed.wait()
        return self._view

    # ---- following ----

    @_patiently
    async def _follow(self) -> None:
        async with aclosing(self._etcd.follow(RING_PREFIX)) as news:
            async for item in news:
                self._note_contact()
                if isinstance(item, Snapshot):
                    await self._take_snapshot(item.kvs)
                else:
                    await self._take_event(item)

    def _note_contact(self) -> None:
        self._heard_at_ms = time.time_ns() // 1_000_000

    async def _take_snapshot(self, kvs: Sequence[KeyValue]) -> None:
        self._listed = True
        self._live = {}
        state = None
        for kv in kvs:
            if kv.key == STATE_KEY:
                state = kv
            elif kv.key.startswith(LIVE_PREFIX):
                self._put_live(kv)
        self._publish()
        if state:
            await self._take_state(state)

    async def _take_event(self, event: WatchEvent) -> None:
        key, gone = event.kv.key, event.kind is EventKind.DELETE
        if key.startswith(LIVE_PREFIX):
            if gone:
                self._live.pop(key.removeprefix(LIVE_PREFIX), None)
            else:
                self._put_live(event.kv)
            self._publish()
        elif key == STATE_KEY and gone:
            log.error("the ring's state was deleted from etcd; going on with what is known")
        elif key == STATE_KEY:
            await self._take_state(event.kv)

    def _put_live(self, kv: KeyValue) -> None:
        try:
            node = NodeLive.model_validate_json(kv.value)
        except ValueError as error:
            log.warning("%s cannot be read and is ignored: %s", kv.key, error)
        else:
            self._live[kv.key.removeprefix(LIVE_PREFIX)] = node

    async def _take_state(self, kv: KeyValue) -> None:
        try:
            await self._adopt(kv)
        except UnavailableError as error:
            log.warning("the ring is read again: %s", error)
            await self._catch_up()

    @_patiently
    async def _catch_up(self) -> None:
        await self.refresh()

    async def _adopt(self, kv: KeyValue) -> None:
        """Make a state that was read from etcd the current one, unless a newer one came in the meantime."""
        state = _read_state(kv)
        tables = {table_id: await self._table(table_id) for table_id in state.tables}
        if kv.mod_revision <= self._state_revision or (self._state and state.epoch < self._state.epoch):
            return
        self._state, self._state_revision, self._tables = state, kv.mod_revision, tables
        log.info("ring epoch %d, %s, %d nodes", state.epoch, state.phase, len(state.nodes))
        self._publish()

    async def _table(self, table_id: str) -> RingTable:
        """A table, decoded once: tables never change."""
        if table_id in self._tables:
            return self._tables[table_id]
        kv = await self._etcd.get(table_key(table_id))
        if kv is None:
            raise UnavailableError(f"The ring's table {table_id} is missing from etcd.")
        try:
            return RingTable.decode(kv.value)
        except ValueError as error:
            raise UnavailableError(f"The ring's table {table_id} in etcd cannot be read: {error}") from error

    def _publish(self) -> None:
        if self._state is not None:
            self._view = RingView(state=self._state, tables=self._tables, live=dict(self._live))
            for listener in tuple(self._listeners):
                listener(self._view)
        self._changed.set()
        self._changed = asyncio.Event()


def _read_state(kv: KeyValue) -> RingState:
    try:
        return RingState.model_validate_json(kv.value)
    except ValueError as error:
        raise UnavailableError(f"The ring's state in etcd cannot be read: {error}") from error

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.shared.errors import ConflictError, NotFoundError, OutOfSpaceError, UnavailableError
from services.shared.ring.placement import partition_of
from services.storage.disk.datafolder import DataFolder, opened
from services.storage.disk.disk import object_name
from services.storage.disk.stage import Stage
from services.storage.disk.store import Published, Store
from services.storage.fence import Obstacle

VIDEO = "0123456789abcdef"
KEY = f"{VIDEO}/file"


@contextmanager
def writable(root: Path, *, capacity_bytes: int | None = None) -> Iterator[DataFolder]:
    with opened(root, reserve_fraction=0, capacity_bytes=capacity_bytes) as folder:
        folder.store.fence.adopt(1)
        for obstacle in Obstacle:
            folder.store.fence.clear(obstacle)
        yield folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def folder(root: Path) -> Iterator[DataFolder]:
    with writable(root) as folder:
        yield folder


@pytest.fixture
def store(folder: DataFolder) -> Store:
    return folder.store


def put(store: Store, key: str, data: bytes) -> Published:
    with store.stage(len(data)) as stage:
        stage.append(data)
        return store.publish(stage, key=key, epoch=1)


def read(store: Store, key: str) -> bytes:
    with store.open(key) as file:
        return file.read(0, 1 << 20)


def path_of(root: Path, key: str) -> Path:
    name = object_name(key)
    return root / "objects" / name[:3] / name[3:5] / name


def damage(root: Path, key: str) -> None:
    path = path_of(root, key)
    path.write_bytes(path.read_bytes()[:-1])


def test_the_folder_of_an_object_is_its_partition():
    for number in range(100):
        key = f"{VIDEO}/{number}"
        assert int(object_name(key)[:3], 16) == partition_of(key)


def test_a_stage_that_is_left_unpublished_leaves_nothing(root, store):
    with store.stage() as stage:
        stage.append(b"content")
    assert not list((root / "tmp").iterdir())
    with pytest.raises(NotFoundError):
        store.open(KEY)


def test_a_damaged_trailer_makes_way_for_a_sound_copy(root, store):
    put(store, KEY, b"content")
    damage(root, KEY)
    assert put(store, KEY, b"content").created
    assert read(store, KEY) == b"content"
    assert len(list((root / "quarantine").iterdir())) == 1
    assert store.index.totals.files == 1


def test_a_damaged_copy_is_set_aside_but_not_the_sound_one_that_replaced_it(store):
    put(store, KEY, b"content")
    with store.open(KEY) as old:
        store.set_aside(KEY, old)
        put(store, KEY, b"content")
        store.set_aside(KEY, old)
    assert read(store, KEY) == b"content"
    assert store.index.totals.files == 1


def test_a_failed_sync_makes_the_node_read_only_and_reads_go_on(folder, store, monkeypatch):
    put(store, KEY, b"content")

    def failing(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(UnavailableError):
        put(store, f"{VIDEO}/second", b"content")
    monkeypatch.undo()
    assert "durable" in folder.guard.read_only_reason
    with pytest.raises(UnavailableError):
        put(store, f"{VIDEO}/third", b"content")
    assert read(store, KEY) == b"content"


def test_after_a_failed_sync_the_next_start_looks_at_the_whole_disk(root):
    with writable(root) as folder:
        folder.guard.stop_writing("The disk failed.")
    with writable(root) as folder:
        assert not folder.store.complete


def test_a_full_disk_is_told_apart_from_a_broken_one(store, folder, monkeypatch):
    def full(_: int, __: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutOfSpaceError):
        put(store, KEY, b"content")
    monkeypatch.undo()
    assert not folder.guard.read_only_reason
    assert put(store, KEY, b"content").created


def test_incoming_bytes_count_against_the_capacity_before_they_are_stored(root):
    with writable(root, capacity_bytes=1000) as folder:
        with folder.store.stage() as first, folder.store.stage() as second:
            first.append(bytes(600))
            with pytest.raises(OutOfSpaceError):
                second.append(bytes(600))
        assert folder.space.free_bytes() == 1000
        put(folder.store, KEY, bytes(600))
        assert folder.space.free_bytes() == 400
        with pytest.raises(OutOfSpaceError):
            folder.store.stage(500)


def test_a_lost_index_is_rebuilt_and_strangers_are_left_alone(root):
    with writable(root) as folder:
        put(folder.store, KEY, b"content")
        put(folder.store, f"{VIDEO}/bad", b"content")
    damage(root, f"{VIDEO}/bad")
    (path_of(root, KEY).parent / "README").touch()
    (root / "index.sqlite").write_bytes(b"garbage" * 1000)
    with writable(root) as folder:
        store = folder.store
        assert not store.complete
        with pytest.raises(UnavailableError):
            store.purge_page(VIDEO)
        for key in (KEY, f"{VIDEO}/bad"):
            store.reconcile(partition_of(key))
        assert [info.key for info in store.index.of_video(VIDEO)] == [KEY]
        assert read(store, KEY) == b"content"


def test_a_power_cut_may_cost_the_index_its_newest_changes_and_nothing_else(root, tmp_path):
    after_the_cut = tmp_path / "after the cut"
    removed, new = f"{VIDEO}/removed", f"{VIDEO}/new"
    with writable(root) as folder:
        for key in (KEY, removed):
            put(folder.store, key, b"content")
        kept = {path.name: path.read_bytes() for path in root.glob("index.sqlite*")}
        put(folder.store, new, b"new content")
        folder.store.remove(removed, epoch=1)
        shutil.copytree(root, after_the_cut)
    for name, content in kept.items():
        (after_the_cut / name).write_bytes(content)
    with writable(after_the_cut) as folder:
        store = folder.store
        assert not store.complete
        assert store.index.get(removed)
        assert store.index.get(new) is None
        for partition in map(partition_of, (KEY, removed, new)):
            store.reconcile(partition)
        assert {info.key for info in store.index.of_video(VIDEO)} == {KEY, new}
        assert read(store, new) == b"new content"


def test_an_index_entry_without_its_object_is_dropped(root):
    with writable(root) as folder:
        put(folder.store, KEY, b"content")
        path_of(root, KEY).unlink()
        assert folder.store.durable([KEY]) == []
        assert folder.store.index.totals.files == 0


def test_a_purge_takes_all_files_of_one_video(store):
    for number in range(5):
        put(store, f"{VIDEO}/{number}", b"content")
    put(store, "zzzzzzzzzzzzzzzz/kept", b"content")
    store.fence.bury({VIDEO})
    page = store.purge_page(VIDEO)
    assert (page.removed, page.problem) == (5, "")
    assert store.purge_page(VIDEO, after=page.after).after == ""
    with pytest.raises(ConflictError):
        put(store, KEY, b"content")
    assert read(store, "zzzzzzzzzzzzzzzz/kept") == b"content"


def test_a_purge_goes_past_a_file_that_cannot_be_removed_and_says_so(root, store, monkeypatch):
    for number in range(5):
        put(store, f"{VIDEO}/{number}", b"content")
    refuse(monkeypatch, "unlink", path_of(root, f"{VIDEO}/2"), errno.EPERM)
    page = store.purge_page(VIDEO)
    assert page.removed == 4
    assert page.problem == f"{VIDEO}/2 stays: The node's disk refused a write: Operation not permitted."
    assert [info.key for info in store.index.of_video(VIDEO)] == [f"{VIDEO}/2"]
    monkeypatch.undo()
    assert store.purge_page(VIDEO).removed == 1


def refuse(monkeypatch: pytest.MonkeyPatch, call: str, refused: Path, error: int) -> None:
    """Let a system call fail for a path, and for what lies below it."""
    original = getattr(os, call)

    def refusing(path: object, *args: object, **kwargs: object) -> object:
        if isinstance(path, (str, Path)) and Path(path).is_relative_to(refused):
            raise OSError(error, os.strerror(error), str(path))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(os, call, refusing)


# ---- no room for the index ----


@contextmanager
def no_room() -> Iterator[None]:
    """No file takes another byte from this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_node_starts_on_a_full_disk_serves_makes_room_and_keeps_its_index(root):
    other = f"{VIDEO}/other"
    with writable(root) as folder:
        for key in (KEY, other):
            put(folder.store, key, b"content")
    index = (root / "index.sqlite").read_bytes()
    with no_room(), writable(root) as folder:
        store = folder.store
        assert "A restart with room on the disk repairs it" in folder.why_read_only
        for key in (KEY, other):
            store.reconcile(partition_of(key))
        store.complete = True
        assert {info.key for info in store.index.everything()} == {KEY, other}
        assert read(store, KEY) == b"content"
        with pytest.raises(UnavailableError, match="room on the disk"):
            put(store, f"{VIDEO}/third", b"content")
        assert store.remove(other, epoch=1)
        assert store.index.totals.files == 1
    assert (root / "index.sqlite").read_bytes() == index
    assert not (root / "index.damaged").exists()
    with writable(root) as folder:
        assert not folder.store.complete
        folder.store.reconcile(partition_of(other))
        assert [info.key for info in folder.store.index.everything()] == [KEY]
        assert put(folder.store, other, b"content").created


@pytest.mark.parametrize("companion", ["-wal", "-shm"])
def test_an_index_that_cannot_be_written_is_no_damaged_one(root, companion):
    with writable(root) as folder:
        put(folder.store, KEY, b"content")
    (root / f"index.sqlite{companion}").mkdir()
    with writable(root) as folder:
        assert "The index could not be written" in folder.why_read_only
        assert read(folder.store, KEY) == b"content"
    assert not (root / "index.damaged").exists()
    (root / f"index.sqlite{companion}").rmdir()
    with writable(root) as folder:
        assert folder.store.index.totals.files == 1
        assert folder.why_read_only == ""


def test_where_a_damaged_index_leaves_no_room_for_a_new_one_the_node_starts_as_well(root):
    with writable(root) as folder:
        put(folder.store, KEY, b"content")
    (root / "index.sqlite").write_bytes(b"garbage" * 1000)
    with no_room(), writable(root) as folder:
        assert not folder.store.complete
        assert "room on the disk" in folder.why_read_only
        assert read(folder.store, KEY) == b"content"


def test_a_full_disk_keeps_nobody_from_claiming_it(root):
    with writable(root):
        pass
    with no_room(), writable(root), pytest.raises(ConflictError, match="in use"), writable(root):
        pass


# ---- what a file system can't make sense of ----


@pytest.fixture
def losses(store: Store) -> list[str]:
    heard: list[str] = []
    store.on_loss = heard.append
    return heard


@pytest.fixture(params=[errno.EBADMSG, errno.EUCLEAN, errno.EIO])
def rotten(root: Path, store: Store, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """An object whose inode has gone bad: whatever is asked of it, the system says that it can't."""
    for key in (KEY, f"{VIDEO}/sound"):
        put(store, key, b"content")
    path = path_of(root, KEY)
    for call in ("open", "unlink", "rename"):
        refuse(monkeypatch, call, path, request.param)
    return path


def test_a_rotten_inode_is_a_lost_copy_and_the_others_are_vouched_for(store, rotten, losses):
    assert [info.key for info in store.durable([KEY, f"{VIDEO}/sound"])] == [f"{VIDEO}/sound"]
    assert losses == [KEY]
    assert store.index.get(KEY) is None
    with pytest.raises(NotFoundError):
        store.open(KEY)
    assert rotten.exists()


@pytest.mark.usefixtures("rotten")
def test_a_rotten_inode_holds_up_no_purge(store):
    page = store.purge_page(VIDEO)
    assert (page.removed, page.problem) == (2, "")
    assert store.index.totals.files == 0


@pytest.mark.usefixtures("rotten")
def test_no_sound_copy_gets_past_a_rotten_inode_and_that_is_said(store):
    with pytest.raises(UnavailableError, match="can't be moved"):
        put(store, KEY, b"content")
    assert put(store, f"{VIDEO}/other", b"content").created


@pytest.mark.usefixtures("rotten")
def test_a_rotten_inode_that_no_index_names_keeps_no_disk_from_being_read(store):
    store.index.remove(KEY)
    store.reconcile(partition_of(KEY))
    assert store.index.get(KEY) is None


def test_a_folder_that_cannot_be_listed_loses_its_objects_and_no_others(root, store, losses, monkeypatch):
    for key in (KEY, f"{VIDEO}/sound"):
        put(store, key, b"content")
    for call in ("open", "listdir", "scandir", "rename"):
        refuse(monkeypatch, call, path_of(root, KEY).parent, errno.EUCLEAN)
    for key in (KEY, f"{VIDEO}/sound"):
        store.reconcile(partition_of(key))
    assert losses == [KEY]
    assert [info.key for info in store.index.everything()] == [f"{VIDEO}/sound"]


def test_a_folder_in_the_place_of_an_object_makes_way_for_a_sound_copy(root, store, losses):
    put(store, KEY, b"content")
    path_of(root, KEY).unlink()
    path_of(root, KEY).mkdir()
    assert store.durable([KEY]) == []
    assert losses == [KEY]
    assert put(store, KEY, b"content").created
    assert read(store, KEY) == b"content"


def test_a_folder_in_the_place_of_an_object_holds_up_no_purge(root, store):
    put(store, KEY, b"content")
    path_of(root, KEY).unlink()
    path_of(root, KEY).mkdir()
    assert store.purge_page(VIDEO).removed == 1
    assert not path_of(root, KEY).exists()


def test_what_cannot_be_removed_from_tmp_keeps_no_node_from_starting(root):
    with writable(root):
        pass
    (root / "tmp" / "folder").mkdir()
    with writable(root) as folder:
        assert put(folder.store, KEY, b"content").created


def in_memory(path: Path) -> bool:
    """Whether a file's beginning can be read without the disk."""
    with path.open("rb", buffering=0) as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) == 1
        except BlockingIOError:
            return False
        except OSError as error:
            pytest.skip(f"the file system can't tell: {error}")


def is_let_go_of(stage: Stage, path: Path) -> bool:
    """Whether the system has heeded us. It need not: it passes over what it is busy with at the moment."""
    stage.uncache()
    return not in_memory(path)


def test_a_copy_can_be_kept_out_of_memory_and_is_there_all_the_same(root: Path, store: Store):
    def path(key: str) -> Path:
        name = object_name(key)
        return root / "objects" / name[:3] / name[3:5] / name

    put(store, KEY, b"asked for" * 1000)
    with store.stage(9000) as stage:
        stage.append(b"not asked" * 1000)
        store.publish(stage, key=f"{KEY}2", epoch=1)
        assert any(is_let_go_of(stage, path(f"{KEY}2")) for _ in range(1000)) or not on_a_disk(root)
    assert in_memory(path(KEY))
    assert read(store, f"{KEY}2") == b"not asked" * 1000


def on_a_disk(folder: Path) -> bool:
    """Whether there is anything but memory below a folder: a file that is synced can be let go of."""
    path = folder / "probe"
    with path.open("wb") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return not in_memory(path)

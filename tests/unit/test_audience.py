from __future__ import annotations

from services.shared.task import Task, TaskKind, TaskResult
from services.web.audience import following


def task(order: int, *, done: bool = False, urgent: bool = False) -> Task:
    result = TaskResult(worker="w") if done else None
    return Task(name=f"task-{order}", kind=TaskKind.VIDEO, order=order, urgent=urgent, result=result)


def names(tasks: list[Task], *claimed: str, room: int = 3) -> list[str]:
    return [one.name for one in following(tasks, dict.fromkeys(claimed, "worker"), room=room)]


def test_what_comes_next_is_in_playing_order_whatever_the_names_say():
    assert names([task(12), task(9), task(10), task(11)]) == ["task-9", "task-10", "task-11"]


def test_what_is_done_or_in_hand_does_not_come_again():
    tasks = [task(1, done=True), task(2), task(3), task(4)]
    assert names(tasks, "task-2") == ["task-3", "task-4"]


def test_urgent_tasks_go_before_all_others_anyway():
    assert names([task(1, urgent=True), task(2)]) == ["task-2"]

"""A look at a source's beginning against a look at all of it."""

from __future__ import annotations

from typing import Any

import pytest

from services.shared.errors import UnsupportedMediaError
from services.transcoder.command import Input
from services.transcoder.opening import opening_tasks, remaining_tasks, surveyed
from services.transcoder.probe import inspect, survey
from services.transcoder.process import Limits
from services.transcoder.sketch import sketch
from services.transcoder.source import SourceInfo
from services.transcoder.streams import Bounds
from services.transcoder.timeline import make_plan
from tests.harness.sources import SLOWING, Recipe, x264

LIMITS = Limits(wall_s=60)
MINUTE: dict[str, Any] = {"size": "160x120", "rate": "10", "duration_s": 64, "sound": "sine=frequency=330"}

STEADY = {
    "mp4": Recipe(name="minute", **MINUTE),
    "mkv": Recipe(name="minute", suffix="mkv", **MINUTE),
    "29.97": Recipe(name="minute 29.97", **{**MINUTE, "rate": "30000/1001"}),
    "sound before the picture": Recipe(name="minute late", **MINUTE, sound_offset_s=-1.5),
}


async def looked_at(recipe: Recipe, folder: Any, **bounds: Any) -> tuple[SourceInfo | None, SourceInfo]:
    source = Input(location=str(recipe.make(folder)))
    inspected = await inspect(source)
    sketched = await sketch(source, inspected, bounds=Bounds(**bounds), limits=LIMITS)
    return sketched, await survey(source, inspected)


@pytest.mark.parametrize("recipe", STEADY.values(), ids=STEADY.keys())
async def test_the_beginning_is_planned_as_if_all_were_known(recipe, source_folder):
    sketched, known = await looked_at(recipe, source_folder)
    assert sketched
    plan = make_plan(sketched, generation=0, encoder="x").model_copy(update={"surveyed": False})
    whole = surveyed(plan, known)
    assert whole == make_plan(known, generation=0, encoder="x")
    assert abs(plan.duration_s - whole.duration_s) < 0.5
    opening = opening_tasks(plan, sketched.video)
    assert remaining_tasks(whole, known.video, workers=2, opening=opening)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(name="short", **{**MINUTE, "duration_s": 12}),
        Recipe(
            name="now and then",
            **MINUTE,
            filters="select='not(mod(n,7))+lt(n,100)'",
            video=(*x264(), "-fps_mode", "passthrough"),
        ),
        Recipe(name="minute edited", **MINUTE, copy_before=("-ss", "1.3")),
        Recipe(
            name="few",
            **{**MINUTE, "sound": None},
            filters="select='lt(n,5)+not(mod(n,90))'",
            video=(*x264(), "-fps_mode", "passthrough"),
        ),
    ],
    ids=["short", "pictures now and then", "an edit list that hides pictures", "a handful of pictures"],
)
async def test_where_the_beginning_is_not_enough_all_is_looked_at_first(recipe, source_folder):
    sketched, _ = await looked_at(recipe, source_folder)
    assert sketched is None


async def test_a_source_that_claims_to_be_too_long_is_refused_at_once(source_folder):
    with pytest.raises(UnsupportedMediaError, match="claims to last"):
        await looked_at(STEADY["mp4"], source_folder, duration_s=30)


async def test_a_source_that_goes_on_at_another_pace_is_found_out(source_folder):
    sketched, known = await looked_at(SLOWING, source_folder)
    assert sketched
    plan = make_plan(sketched, generation=0, encoder="x").model_copy(update={"surveyed": False})
    assert surveyed(plan, known) is None

"""A finished video and all that its records say of its files. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from services.shared.filenames import final_file
from services.shared.manifest import manifest_names
from services.shared.manifest.presentation import Presentation
from services.shared.plan import Plan
from services.shared.references import made_by, references
from services.shared.task import Task
from services.shared.video import Video
from services.transcoder.availability import availability
from services.transcoder.verification.outline import Outline, outlines
from services.transcoder.verification.steps import Stretch, stretches


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is verified."""

    video: Video
    plan: Plan
    tasks: Sequence[Task]

    @cached_property
    def shown(self) -> Presentation:
        """The video as players are told of it."""
        return Presentation(plan=self.plan, available=availability(self.plan, [*self.tasks]))

    @cached_property
    def outlines(self) -> list[Outline]:
        """Its tracks."""
        return outlines(self.shown)

    @cached_property
    def stretches(self) -> list[Stretch]:
        """Its tracks, in the steps in which they are looked at."""
        return [*stretches(self.outlines)]

    @cached_property
    def manifests(self) -> dict[str, str]:
        """Manifests and playlists: names of their files, and what players know them as."""
        named = manifest_names(self.plan)
        return {final_file(name, self.plan.generation, self.video.edition): name for name in named}

    @cached_property
    def originals(self) -> list[str]:
        """Files of the original, and of what it was remuxed to, while they are kept."""
        if self.video.original_dropped:
            return []
        sources = filter(None, (self.video.source, self.plan.remuxed))
        return [source.part_file(number) for source in sources for number in range(source.parts)]

    @cached_property
    def others(self) -> list[str]:
        """Files that belong to no track and to no original: manifests and pictures."""
        needed = references(self.video, self.plan, self.tasks).needed
        tracks = {name for stretch in self.stretches for name in stretch.files}
        return sorted(needed - tracks - {*self.originals})

    @cached_property
    def makers(self) -> dict[str, Task]:
        """By file: a task that has made it, and can make it again."""
        return {name: task for task in reversed(self.tasks) for name in made_by(task, self.plan)}

    def place(self, file: str) -> tuple[str, int | None]:
        """The track that a file belongs to (empty: none), and which of its segments it is."""
        return self._places.get(file, ("", None))

    @cached_property
    def _places(self) -> dict[str, tuple[str, int | None]]:
        return {
            **{outline.init_file: (outline.name, None) for outline in self.outlines},
            **{
                outline.segment_file(number): (outline.name, number)
                for outline in self.outlines
                for number in range(outline.segments)
            },
        }

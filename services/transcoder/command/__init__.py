"""ffmpeg and ffprobe command lines: the only package that imports ffmpeg-python.

Every option here was found by experiment to matter; the reasons stand beside them. Options of one input
or output come out in alphabetical order, which ffmpeg doesn't mind.
"""

from services.transcoder.command.audio import audio, audio_of_steadied, steadied
from services.transcoder.command.compiling import with_progress
from services.transcoder.command.counting import count_frames
from services.transcoder.command.encoders import encode_blank
from services.transcoder.command.inputs import MAX_PIXELS, MAX_STREAMS, PROBE_FORMATS, Input
from services.transcoder.command.pictures import key_pictures, sheets, typical_pictures
from services.transcoder.command.probing import (
    probe_clock,
    probe_first_packets,
    probe_frames,
    probe_packets,
    probe_sound,
    probe_streams,
)
from services.transcoder.command.remuxing import Times, remux
from services.transcoder.command.samples import SAMPLED_RELIEFS, sample
from services.transcoder.command.texts import texts
from services.transcoder.command.video import piece

__all__ = [
    "MAX_PIXELS",
    "MAX_STREAMS",
    "PROBE_FORMATS",
    "SAMPLED_RELIEFS",
    "Input",
    "Times",
    "audio",
    "audio_of_steadied",
    "count_frames",
    "encode_blank",
    "key_pictures",
    "piece",
    "probe_clock",
    "probe_first_packets",
    "probe_frames",
    "probe_packets",
    "probe_sound",
    "probe_streams",
    "remux",
    "sample",
    "sheets",
    "steadied",
    "texts",
    "typical_pictures",
    "with_progress",
]

"""When pictures are shown, from the list of packets: `pts,dts,duration,size,flags`."""

from __future__ import annotations

from services.transcoder.packets import PacketScan
from services.transcoder.process import Chunks


async def scanned(*lines: str) -> PacketScan:
    async def chunks() -> Chunks:
        yield "".join(f"{line}\n" for line in lines).encode()

    scan = PacketScan(100)
    await scan.consume(chunks())
    return scan


async def test_the_last_picture_is_shown_for_as_long_as_it_says():
    scan = await scanned("0,0,40,900,K__", "80,40,40,900,___", "40,80,55,900,___")
    assert (scan.start, scan.end, scan.packets, scan.typical_gap) == (0, 120, 3, 40)
    slide = await scanned("0,0,40,900,K__", "40,40,3000,900,___")
    assert (slide.end, slide.open_ended) == (3040, False)


async def test_a_last_picture_that_does_not_say_for_how_long_is_shown_as_long_as_most():
    scan = await scanned("0,-80,N/A,900,K__", "120,-40,N/A,900,___", "41,0,N/A,900,___", "80,40,N/A,900,___")
    assert (scan.end, scan.open_ended, scan.packets) == (160, True, 4)


async def test_only_the_last_picture_in_order_of_presentation_counts():
    scan = await scanned("0,-80,40,900,K__", "120,-40,N/A,900,___", "40,0,40,900,___", "80,40,40,900,___")
    assert scan.end == 160


async def test_a_single_picture_without_a_duration_ends_where_it_begins():
    assert (await scanned("7,7,N/A,900,K__")).end == 7


async def test_a_placeholder_is_no_key_frame_whatever_the_container_says():
    scan = await scanned("0,0,40,900,K__", "80,40,40,6,K__", "40,80,40,900,___", "120,120,40,900,K__")
    assert [key.pts for key in scan.key_frames] == [0, 120]
    assert scan.packets == 4


async def test_a_stream_may_end_before_zero():
    scan = await scanned("-120,-120,40,900,K__", "-80,-80,40,900,___")
    assert (scan.start, scan.end, scan.open_ended) == (-120, -40, False)
    silent = await scanned("-120,-120,N/A,900,K__", "-80,-80,N/A,900,___")
    assert (silent.start, silent.end, silent.open_ended) == (-120, -40, True)

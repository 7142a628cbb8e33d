import pytest

from services.shared.errors import InvalidRequestError, TooLargeError
from services.shared.webvtt import (
    CHARSETS,
    MAX_BYTES,
    Cue,
    decoded,
    parse,
    salvaged,
    shifted,
    timestamp,
    written,
)

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hello</i>, <font color="red">you</font>!

2
00:01:00,5 --> 00:01:02
{\\an8}Two
lines & more < less
"""


def texts(file: str) -> list[str]:
    return [cue.text for cue in parse(file)]


def test_subrip_is_read_without_its_fonts_and_positions():
    assert parse(SRT) == (
        Cue(start_ms=1000, end_ms=2500, text="<i>Hello</i>, you!"),
        Cue(start_ms=60_500, end_ms=62_000, text="Two\nlines &amp; more &lt; less"),
    )


def test_webvtt_is_read_with_names_settings_voices_and_short_times():
    cues = parse(
        "WEBVTT - a title\n\nSTYLE\n::cue { color: red }\n\nNOTE mine\n\nREGION\nid:x\n\n"
        "intro\n00:01.000 --> 00:02.000 line:0 region:x align:start\n<v Ann>Hi &amp; bye</v>\n"
    )
    expected = Cue(start_ms=1000, end_ms=2000, text="<v Ann>Hi &amp; bye</v>", settings="line:0 align:start")
    assert cues == (expected,)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_system_are_understood(ending):
    assert texts(SRT.replace("\n", ending))[1].count("\n") == 1


@pytest.mark.parametrize(
    ("said", "safe"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a --> b", "a --&gt; b"),
        ("<B>loud</B>", "<b>loud</b>"),
        ("<c.yellow>sun</c>", "<c.yellow>sun</c>"),
        ("<00:00:01.500>now", "<00:00:01.500>now"),
        ("&lt; &copy;", "&lt; &amp;copy;"),
        ('<i onmouseover="x">', '<i onmouseover="x">'),  # WebVTT knows no attributes: players ignore it
    ],
)
def test_only_tags_that_webvtt_knows_survive(said, safe):
    assert texts(f"00:01.000 --> 00:02.000\n{said}\n") == [safe]


def test_cues_come_in_the_order_of_their_times_and_those_never_shown_do_not_come():
    file = "00:05.000 --> 00:06.000\nlate\n\n00:03.000 --> 00:02.000\nnever\n\n00:01.000 --> 00:02.000\nearly"
    assert texts(file) == ["early", "late"]


@pytest.mark.parametrize("time", ["99:99:99.000", "00:60:00.000", "00:00:60,000", "60:00.000"])
def test_a_caption_at_a_time_that_no_clock_shows_is_left_out(time):
    assert texts(f"00:01.000 --> 1000:59:59\nsound\n\n00:02.000 --> {time}\nunsound\n") == ["sound"]


@pytest.mark.parametrize("file", ["", "WEBVTT\n", "A text about something.\n\nNot captions.", "a --> b\nx"])
def test_a_file_without_captions_is_refused(file):
    with pytest.raises(InvalidRequestError, match="no captions"):
        parse(file)


def test_what_is_beyond_all_measure_is_refused():
    with pytest.raises(InvalidRequestError, match="more than 2000 characters"):
        parse("00:01.000 --> 00:02.000\n" + "x" * 2001)
    with pytest.raises(InvalidRequestError, match="more than 20000"):
        parse("00:01.000 --> 00:02.000\nx\n\n" * 20_001)
    with pytest.raises(TooLargeError):
        decoded(b" " * (MAX_BYTES + 1))


def test_of_a_file_that_nobody_can_mend_the_rest_is_kept_and_what_is_left_out_counted():
    long = "00:01.000 --> 00:02.000\n" + "x" * 2001
    cues, left_out = salvaged(
        f"WEBVTT\n\n00:03.000 --> 00:04.000\nlate\n\n{long}\n\n00:00.000 --> 00:01.000\na"
    )
    assert ([cue.text for cue in cues], left_out) == (["a", "late"], 1)
    cues, left_out = salvaged("00:01.000 --> 00:02.000\nx\n\n" * 20_003)
    assert (len(cues), left_out) == (20_000, 3)
    assert salvaged("WEBVTT\n") == ((), 0)


def test_tricks_with_brackets_take_no_time():
    many = "\n\n".join(["00:01.000 --> 00:02.000\n" + "{\\" * 1000, "<font" * 100_000, "\n \n" * 100_000])
    assert len(parse(many)) == 1


def test_moved_captions_are_cut_at_both_ends():
    cues = parse("00:01.000 --> 00:03.000\na\n\n00:04.000 --> 00:06.000\nb\n\n00:00.000 --> 00:01.500\nc")
    moved = shifted(cues, by_ms=-2000, end_ms=3000)
    assert [(cue.start_ms, cue.end_ms, cue.text) for cue in moved] == [(0, 1000, "a"), (2000, 3000, "b")]


def test_what_is_written_is_webvtt_and_reads_as_before():
    cues = parse(SRT)
    file = written(cues)
    assert file.startswith(b"WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n<i>Hello</i>, you!\n\n00:01:00.500")
    assert parse(file.decode()) == cues


def test_captions_last_as_long_as_their_video_without_a_word_more():
    cues = parse(SRT)
    file = written(cues, lasts_ms=90_000)
    assert file == written(cues) + b"\n00:01:29.999 --> 00:01:30.000\n&lrm;\n"
    assert parse(file.decode()) == cues


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        ("é".encode(), "utf-8"),
        ("\ufeffé".encode(), "utf-8"),
        ("é".encode("utf-16"), "utf-8"),
        ("é".encode("windows-1252"), "windows-1252"),
        ("é".encode("iso-8859-1"), "ISO_8859-1"),
    ],
)
def test_text_is_read_in_the_encoding_that_it_says_or_that_is_said(data, charset):
    assert decoded(data, charset=charset) == "é"


@pytest.mark.parametrize("charset", ["utf-8", "no-such-thing", "hex", "utf-16", "punycode"])
def test_text_in_another_encoding_is_refused_with_what_to_do(charset):
    with pytest.raises(InvalidRequestError, match="charset=windows-1252"):
        decoded("é!".encode("windows-1252") + b"x", charset=charset)


@pytest.mark.parametrize("charset", sorted(CHARSETS))
def test_every_encoding_on_the_list_is_known_and_takes_no_time(charset):
    text = "x" * (MAX_BYTES // 4)
    assert decoded(text.encode(charset), charset=charset) == text


def test_an_encoding_that_takes_minutes_is_refused_at_once():
    with pytest.raises(InvalidRequestError, match="charset=windows-1252"):
        decoded(b"x-" + b"a" * (MAX_BYTES - 2), charset="punycode")


def test_times_have_hours_from_the_beginning():
    assert timestamp(100 * 3_600_000 + 62_003) == "100:01:02.003"

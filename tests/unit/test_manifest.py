from __future__ import annotations

from fractions import Fraction
from xml.etree import ElementTree as ET

import pytest

from services.shared.captions import Caption
from services.shared.errors import NotFoundError
from services.shared.filenames import HLS_FILE, MPD_FILE
from services.shared.manifest import final_files, is_begun, manifest, manifest_names, playable_s, promised
from services.shared.plan import Availability, Plan, Rational
from services.shared.storyboard import Storyboard
from services.shared.task import TrackResult
from services.shared.tracks import AudioTrack, Rendition, SoundRole

DASH = {"d": "urn:mpeg:dash:schema:mpd:2011"}


def plan(*, sounds: int = 1) -> Plan:
    return Plan(
        generation=2,
        time_base=Rational(num=1, den=30_000),
        start_ticks=0,
        fps=Rational(num=30_000, den=1001),
        frames=650,
        segment_frames=120,
        timescale=30_000,
        renditions=(
            Rendition(name="240p", width=426, height=240, bitrate=523_000),
            Rendition(name="360p", width=640, height=360, bitrate=962_000),
        ),
        audio=tuple(
            AudioTrack(index=n, language=language, duration_samples=1_041_040)
            for n, language in enumerate(("eng", "deu")[:sounds])
        ),
        input_format="mov",
        encoder="x",
    )


def track(segments: int, codec: str = "avc1.64001e", peak: int = 700_000) -> TrackResult:
    return TrackResult(segments=segments, size_bytes=300_000, peak_bitrate=peak, codec=codec, init_sha256="")


def growing(**video_segments: int) -> Availability:
    return Availability(
        video_segments=video_segments,
        audio_segments={"a0": 2},
        tracks={name: track(count) for name, count in video_segments.items()},
    )


COMPLETE = Availability(
    video_segments={"240p": 6, "360p": 6},
    audio_segments={"a0": 6, "a1": 6},
    complete=True,
    frames=647,
    tracks={
        "240p": track(6, peak=300_000),
        "360p": track(6),
        "a0": track(6, codec="mp4a.40.2", peak=131_000),
        "a1": track(6, codec="mp4a.40.2", peak=129_000),
    },
)


def mpd(plan: Plan, available: Availability, *, published_at_ms: int = 0) -> ET.Element:
    text = manifest(MPD_FILE, plan, available, published_at_ms=published_at_ms)
    return ET.fromstring(text)  # noqa: S314 - our own


def only(root: ET.Element, path: str) -> ET.Element:
    found = root.find(path, DASH)
    assert found is not None
    return found


def hls(name: str, plan: Plan, available: Availability) -> list[str]:
    return manifest(name, plan, available).decode().splitlines()


def timeline(root: ET.Element, name: str) -> list[dict[str, str]]:
    return [s.attrib for s in root.iterfind(f".//d:Representation[@id='{name}']//d:S", DASH)]


def test_a_complete_video_has_a_static_mpd_of_its_real_length():
    root = mpd(plan(), COMPLETE)
    assert root.get("type") == "static"
    assert root.get("mediaPresentationDuration") == "PT21.588233S"
    assert "minimumUpdatePeriod" not in root.attrib
    assert timeline(root, "240p") == [{"t": "0", "d": "120120", "r": "4"}, {"d": "47047"}]


def test_representations_say_all_that_players_choose_by():
    root = mpd(plan(), COMPLETE)
    video = only(root, ".//d:Representation[@id='360p']")
    assert video.attrib == {
        "id": "360p",
        "codecs": "avc1.64001e",
        "bandwidth": "700000",
        "width": "640",
        "height": "360",
        "frameRate": "30000/1001",
        "sar": "1:1",
    }
    template = only(video, "d:SegmentTemplate")
    assert template.get("media") == "360p-g2-$Number%05d$.m4s"
    assert template.get("initialization") == "360p-g2-init.mp4"
    assert template.get("startNumber") == "0"


def test_sound_is_shifted_by_the_encoders_delay():
    root = mpd(plan(), COMPLETE)
    first, middle, last = timeline(root, "a0")
    assert first == {"t": "0", "d": str(188 * 1024 - 1024)}
    assert middle == {"d": str(188 * 1024), "r": "3"}
    assert int(first["d"]) + 4 * int(middle["d"]) + int(last["d"]) == 1_041_040


def test_each_sound_track_is_a_set_of_its_own_with_its_language():
    sets = mpd(plan(sounds=2), COMPLETE).findall(".//d:AdaptationSet[@contentType='audio']", DASH)
    assert [group.get("lang") for group in sets] == ["eng", "deu"]
    assert [only(group, "d:Role").get("value") for group in sets] == ["main", "alternate"]


def with_roles(*roles: SoundRole) -> Plan:
    """Sound tracks with these roles, each with a title."""
    titles = ("Deutsch", "Regie", "Hörfassung")
    tracks = (
        AudioTrack(index=n, language="de", title=titles[n], role=role, duration_samples=1_041_040)
        for n, role in enumerate(roles)
    )
    return plan().model_copy(update={"audio": tuple(tracks)})


ALL_ROLES = (SoundRole.PROGRAMME, SoundRole.COMMENTARY, SoundRole.DESCRIPTION)


def with_sounds(*names: str) -> Availability:
    return COMPLETE.model_copy(
        update={
            "audio_segments": dict.fromkeys(names, 6),
            "tracks": {**COMPLETE.tracks, **dict.fromkeys(names, track(6, codec="mp4a.40.2"))},
        }
    )


def test_dash_tells_what_each_sound_track_is_called_and_for():
    root = mpd(with_roles(*ALL_ROLES), with_sounds("a0", "a1", "a2"))
    sets = root.findall(".//d:AdaptationSet[@contentType='audio']", DASH)
    assert [only(group, "d:Label").text for group in sets] == ["Deutsch", "Regie", "Hörfassung"]
    assert [only(group, "d:Role").get("value") for group in sets] == ["main", "commentary", "alternate"]
    described = [group.find("d:Accessibility", DASH) is not None for group in sets]
    assert described == [False, False, True]


def test_hls_tells_what_each_sound_track_is_called_and_which_of_them_a_player_may_choose():
    lines = hls(HLS_FILE, with_roles(*ALL_ROLES), with_sounds("a0", "a1", "a2"))
    main, comment, described = (line for line in lines if line.startswith("#EXT-X-MEDIA:TYPE=AUDIO"))
    assert 'NAME="Deutsch",LANGUAGE="de",DEFAULT=YES,AUTOSELECT=YES' in main
    assert 'NAME="Regie",LANGUAGE="de",DEFAULT=NO,AUTOSELECT=NO' in comment
    assert "CHARACTERISTICS" not in main + comment
    assert 'CHARACTERISTICS="public.accessibility.describes-video"' in described


def test_a_growing_video_has_a_dynamic_mpd_with_what_is_there():
    root = mpd(plan(), growing(**{"240p": 3}), published_at_ms=1_700_000_000_000)
    assert root.get("type") == "dynamic"
    assert root.get("minimumUpdatePeriod") == "PT1S"
    assert root.get("publishTime") == "2023-11-14T22:13:20.000000Z"
    assert root.get("mediaPresentationDuration") == "PT21.688333S"
    assert root.get("suggestedPresentationDelay") == "PT22S"  # so that players begin at the beginning
    assert timeline(root, "240p") == [{"t": "0", "d": "120120", "r": "2"}]


def test_all_tracks_begin_together_since_players_look_for_them_only_once():
    begun = growing(**{"240p": 3, "360p": 0})
    root = mpd(plan(sounds=2), begun)
    assert timeline(root, "360p") == [{"t": "0", "d": "120120"}]
    assert timeline(root, "a1") == [{"t": "0", "d": str(188 * 1024 - 1024)}]
    assert only(root, ".//d:Representation[@id='360p']").get("codecs") == "avc1.64001e"
    assert only(root, "d:ServiceDescription/d:OperatingBandwidth").get("target") == "523000"
    assert "360p.m3u8" in hls(HLS_FILE, plan(sounds=2), begun)
    assert hls("360p.m3u8", plan(sounds=2), begun)[-1] == "360p-g2-00000.m4s"
    assert promised(plan(sounds=2), begun) == {
        "360p-g2-init.mp4",
        "360p-g2-00000.m4s",
        "a1-g2-init.mp4",
        "a1-g2-00000.m4s",
    }


def test_a_video_can_be_played_as_far_as_each_of_its_tracks_goes():
    assert playable_s(plan(), growing(**{"240p": 0})) == 0
    assert playable_s(plan(), growing(**{"240p": 3, "360p": 0})) == 4.004
    assert playable_s(plan(), growing(**{"240p": 3, "360p": 3})) == round((2 * 188 - 1) * 1024 / 48_000, 3)
    assert playable_s(plan(), COMPLETE) == 21.588


def test_of_a_complete_video_nothing_is_promised():
    assert promised(plan(sounds=2), COMPLETE) == frozenset()


def test_a_video_has_begun_with_its_lowest_rendition_and_its_main_sound():
    silent = growing(**{"240p": 1}).model_copy(update={"audio_segments": {"a0": 0, "a1": 3}})
    assert not is_begun(plan(sounds=2), silent)
    assert is_begun(plan(sounds=0), silent)
    assert not is_begun(plan(), growing(**{"240p": 0, "360p": 2}))
    assert is_begun(plan(sounds=2), growing(**{"240p": 1}))


def test_a_growing_video_states_the_time_so_that_no_player_asks_a_stranger_for_it():
    timing = only(mpd(plan(), growing(**{"240p": 3}), published_at_ms=1_700_000_000_000), "d:UTCTiming")
    assert timing.get("schemeIdUri") == "urn:mpeg:dash:utc:direct:2014"
    assert timing.get("value") == "2023-11-14T22:13:20.000000Z"
    assert mpd(plan(), COMPLETE).find("d:UTCTiming", DASH) is None


def test_announced_bitrates_hold_until_the_real_ones_are_known():
    root = mpd(plan(), growing(**{"240p": 3}))
    assert only(root, ".//d:Representation[@id='240p']").get("bandwidth") == "523000"


def test_a_silent_video_has_no_sound_anywhere():
    silent = COMPLETE.model_copy(update={"audio_segments": {}})
    assert mpd(plan(sounds=0), silent).find(".//d:AdaptationSet[@contentType='audio']", DASH) is None
    master = "\n".join(hls(HLS_FILE, plan(sounds=0), silent))
    assert "AUDIO" not in master
    assert 'CODECS="avc1.64001e",' in master


def test_the_master_playlist_lists_the_renditions_and_the_sound():
    head, sound, low, low_file, high, high_file = hls(HLS_FILE, plan(), COMPLETE)[2:]
    assert head == "#EXT-X-INDEPENDENT-SEGMENTS"
    assert sound == (
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Sound 1",LANGUAGE="eng",DEFAULT=YES,'
        'AUTOSELECT=YES,CHANNELS="2",URI="a0.m3u8"'
    )
    assert low == (
        '#EXT-X-STREAM-INF:BANDWIDTH=431000,AVERAGE-BANDWIDTH=222344,CODECS="avc1.64001e,mp4a.40.2",'
        'RESOLUTION=426x240,FRAME-RATE=29.970,AUDIO="audio"'
    )
    assert "BANDWIDTH=831000," in high
    assert "RESOLUTION=640x360," in high
    assert (low_file, high_file) == ("240p.m3u8", "360p.m3u8")


def test_what_is_announced_is_never_less_than_the_average():
    """The peak leaves out a last segment that is short; in a short video, that is much of it."""
    heavy = track(6, peak=300_000).model_copy(update={"size_bytes": 1_000_000})
    available = COMPLETE.model_copy(update={"tracks": {**COMPLETE.tracks, "240p": heavy}})
    variant = next(line for line in hls(HLS_FILE, plan(), available) if "RESOLUTION=426x240" in line)
    assert "BANDWIDTH=501572,AVERAGE-BANDWIDTH=481744," in variant
    assert only(mpd(plan(), available), ".//d:Representation[@id='240p']").get("bandwidth") == "370572"


def test_a_complete_playlist_is_vod_and_ends():
    lines = hls("360p.m3u8", plan(), COMPLETE)
    assert lines[3:10] == [
        "#EXT-X-TARGETDURATION:4",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        '#EXT-X-MAP:URI="360p-g2-init.mp4"',
        "#EXTINF:4.004000,",
        "360p-g2-00000.m4s",
        "#EXTINF:4.004000,",
    ]
    assert lines[-3:] == ["#EXTINF:1.568233,", "360p-g2-00005.m4s", "#EXT-X-ENDLIST"]


def test_a_growing_playlist_is_an_event_that_players_begin_at_its_start():
    lines = hls("240p.m3u8", plan(), growing(**{"240p": 2}))
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in lines
    assert "#EXT-X-START:TIME-OFFSET=0,PRECISE=YES" in lines
    assert "#EXT-X-ENDLIST" not in lines
    assert lines[-1] == "240p-g2-00001.m4s"


@pytest.mark.parametrize("name", ["480p.m3u8", "a2.m3u8", "passwd"])
def test_a_playlist_of_no_track_does_not_exist(name):
    with pytest.raises(NotFoundError):
        manifest(name, plan(sounds=2), growing(**{"240p": 1}))


@pytest.mark.parametrize("name", ["manifest.mpd", "master.m3u8", "a0.m3u8"])
def test_while_there_is_no_picture_at_all_there_are_no_manifests(name):
    with pytest.raises(NotFoundError):
        manifest(name, plan(), growing(**{"240p": 0}))


def test_all_final_files_are_made_at_once():
    files = final_files(plan(sounds=2), COMPLETE)
    assert set(files) == set(manifest_names(plan(sounds=2)))
    assert set(files) == {"manifest.mpd", "master.m3u8", "240p.m3u8", "360p.m3u8", "a0.m3u8", "a1.m3u8"}


CAPTIONS = (
    Caption(name="en", language="en", title="English", track="text0", file="text0-g2.vtt", size_bytes=500),
    Caption(
        name="en.2",
        language="en",
        title="English",
        track="captions1-ab",
        file="captions1-ab.vtt",
        size_bytes=7,
    ),
)
BOARD = Storyboard(stride=1, pictures=6, columns=2, rows=2, tile_width=160, tile_height=90, size_bytes=90_000)


def test_captions_are_sets_of_their_own_which_menus_can_tell_apart():
    root = ET.fromstring(manifest(MPD_FILE, plan(), COMPLETE, captions=CAPTIONS))  # noqa: S314 - our own
    first, second = root.findall(".//d:AdaptationSet[@contentType='text']", DASH)
    assert (first.get("lang"), first.get("mimeType")) == ("en", "text/vtt")
    assert only(first, "d:Role").get("value") == "subtitle"
    assert [only(group, "d:Label").text for group in (first, second)] == ["English", "English (2)"]
    assert only(first, ".//d:BaseURL").text == "text0-g2.vtt"
    assert only(first, "d:Representation").attrib == {"id": "text0", "bandwidth": "186"}
    ids = [group.get("id") for group in root.iter("{urn:mpeg:dash:schema:mpd:2011}AdaptationSet")]
    assert len(ids) == len(set(ids))


def test_captions_belong_to_every_variant_and_have_playlists():
    master = manifest(HLS_FILE, plan(), COMPLETE, captions=CAPTIONS).decode()
    assert (
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="text",NAME="English (2)",LANGUAGE="en",DEFAULT=NO,'
        'AUTOSELECT=YES,URI="captions1-ab.m3u8"'
    ) in master
    assert master.count('SUBTITLES="text"') == 2
    playlist = manifest("text0.m3u8", plan(), COMPLETE, captions=CAPTIONS).decode().splitlines()
    assert "#EXT-X-TARGETDURATION:22" in playlist
    assert playlist[-3:] == ["#EXTINF:21.588233,", "text0-g2.vtt", "#EXT-X-ENDLIST"]
    growing_one = manifest("text0.m3u8", plan(), growing(**{"240p": 1}), captions=CAPTIONS).decode()
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in growing_one
    assert "#EXT-X-ENDLIST" not in growing_one


def test_a_storyboard_is_a_set_of_tiles():
    root = ET.fromstring(manifest(MPD_FILE, plan(), COMPLETE, storyboard=BOARD))  # noqa: S314 - our own
    group = only(root, ".//d:AdaptationSet[@contentType='image']")
    template = only(group, "d:SegmentTemplate")
    assert template.get("media") == "storyboard-g2-$Number%05d$.jpg"
    # Four pictures of four seconds of 29.97 frames.
    assert Fraction(int(template.get("duration", 0)), int(template.get("timescale", 1))) == Fraction(
        16016, 1000
    )
    sheet = only(group, "d:Representation")
    assert (sheet.get("width"), sheet.get("height")) == ("320", "180")
    assert only(sheet, "d:EssentialProperty").attrib == {
        "schemeIdUri": "http://dashif.org/guidelines/thumbnail_tile",
        "value": "2x2",
    }


def test_a_storyboard_is_a_playlist_of_images():
    master = manifest(HLS_FILE, plan(), COMPLETE, storyboard=BOARD).decode().splitlines()
    assert master[-1] == (
        '#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=33352,RESOLUTION=160x90,CODECS="jpeg",URI="storyboard.m3u8"'
    )
    lines = manifest("storyboard.m3u8", plan(), COMPLETE, storyboard=BOARD).decode().splitlines()
    assert lines[-7:] == [
        "#EXTINF:16.016000,",
        "#EXT-X-TILES:RESOLUTION=160x90,LAYOUT=2x2,DURATION=4.004000",
        "storyboard-g2-00000.jpg",
        "#EXTINF:5.572233,",
        "#EXT-X-TILES:RESOLUTION=160x90,LAYOUT=2x2,DURATION=4.004000",
        "storyboard-g2-00001.jpg",
        "#EXT-X-ENDLIST",
    ]


@pytest.mark.parametrize("name", ["text0.m3u8", "storyboard.m3u8"])
def test_what_a_video_has_not_got_has_no_playlist(name):
    with pytest.raises(NotFoundError):
        manifest(name, plan(), COMPLETE)

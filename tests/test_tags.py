"""Tags written and read back by mutagen itself, sound left alone, originals left alone when something goes wrong."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_terminal import PREDICTION

from conftest import RATE, tone

pytest.importorskip("mutagen", reason="mutagen (extra `tags`) is not installed")

from whoplays.audio import reading
from whoplays.errors import WhoplaysError
from whoplays.results import id3, tagedits, tags

TEXT = "drums 0.97; piano 0.94; strings 0.83 (tiny@1)"


def make(path: Path) -> Path:
    if path.suffix in (".m4a", ".wma"):
        _encoded(path)
    else:
        soundfile.write(path, tone(440.0, 1.0), 48000 if path.suffix == ".opus" else RATE, **_how(path))
    return path


def _how(path: Path) -> dict:
    return {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}


def _encoded(path: Path) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac" if path.suffix == ".m4a" else "wmav2", rate=44100, layout="mono")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(tone(440.0, 1.0, 44100)[None], format="fltp", layout="mono")
        frame.sample_rate = 44100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3", "aiff", "m4a", "wma"])
def test_the_field_is_written_and_the_sound_is_not_touched(suffix: str, tmp_path: Path) -> None:
    path = make(tmp_path / f"a.{suffix}")
    path.chmod(0o640)
    before = reading.load(path, sample_rate=RATE)
    assert tags.read(path) is None
    tags.write(path, PREDICTION)
    assert tags.read(path) == TEXT
    tags.write(path, PREDICTION)
    assert tags.read(path) == TEXT
    np.testing.assert_array_equal(reading.load(path, sample_rate=RATE), before)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_other_tags_stay(tmp_path: Path) -> None:
    import mutagen

    path = make(tmp_path / "a.flac")
    file = mutagen.File(path)
    file["title"] = "Tune"
    file.save()
    tags.write(path, PREDICTION)
    assert mutagen.File(path)["title"] == ["Tune"]


@pytest.mark.parametrize("fault", ["no tags", "sound", "disk"])
def test_a_failure_leaves_the_original(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / ("a.au" if fault == "no tags" else "a.flac"))
    if fault == "sound":
        other = make(tmp_path / "b.wav")
        soundfile.write(other, tone(880.0, 1.0), RATE)
        monkeypatch.setattr(tags.tagedits, "apply", lambda source, target, edits: target.write(other.read_bytes()))
    if fault == "disk":
        monkeypatch.setattr(tags.tagedits, "apply", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left")))
    before = path.read_bytes()
    with pytest.raises(WhoplaysError, match="a\\.") as caught:
        tags.write(path, PREDICTION)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".whoplays-*"))


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    path = make(tmp_path / "a.flac")
    link = tmp_path / "link.flac"
    link.symlink_to(path)
    tags.write(link, PREDICTION)
    assert link.is_symlink() and tags.read(path) == TEXT


def test_the_command_tags_and_then_knows_the_file(tiny_model: Path, tmp_path: Path) -> None:
    from test_cli import run

    path = make(tmp_path / "a.flac")
    common = ["predict", path, "--model", tiny_model, "--out", tmp_path / "r.jsonl", "--resume", "--write-tags"]
    assert run(*common).returncode == 0
    assert "(tiny@1)" in str(tags.read(path))
    before = path.read_bytes()
    assert "1 of 1 recordings are done and unchanged" in run(*common).stderr
    assert path.read_bytes() == before


# -- byte for byte


def syncsafe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


#: frames as bytes, of kinds that are rarely known: (name, content)
FRAMES = {
    2: [(b"TT2", b"\0Title"), (b"EQU", bytes(7)), (b"RVA", b"\1\2\3"), (b"XYZ", b"who knows")],
    3: [
        *((b"TIT2", b"\1\xff\xfeT\0i\0"), (b"TYER", b"\x001999"), (b"TDAT", b"\x000102"), (b"TIME", b"\x001203")),
        *((b"TCON", b"\0(17)Rock"), (b"RVAD", b"\0\x10\0\0"), (b"EQUA", b"\x10\x80\1\0\0"), (b"TSIZ", b"\x00123")),
        *((b"TRDA", b"\0July"), (b"XSOP", b"\0sort"), (b"NCON", bytes(20)), (b"TXXX", b"\0other\0value")),
        (b"PRIV", b"owner\0" + bytes(range(256))),
    ],
    4: [(b"TIT2", b"\3Title"), (b"RVAD", b"\0\x10"), (b"ZZZZ", b"x" * 300), (b"TDRC", b"\x032001-02-03T04:05:06")],
}


def id3_tag(version: int, padding: int = 0, *, unsynchronised: bool = False) -> bytes:
    frames = b""
    for name, content in FRAMES[version]:
        size = {2: len(content).to_bytes(3), 3: len(content).to_bytes(4), 4: syncsafe(len(content))}[version]
        frames += name + size + (b"" if version == 2 else b"\0\0") + content
    if unsynchronised:
        frames = id3._as_unsynchronised(frames)
    return (
        b"ID3" + bytes([version, 0, 0x80 * unsynchronised]) + syncsafe(len(frames) + padding) + frames + bytes(padding)
    )


@pytest.mark.parametrize("unsynchronised", [False, True])
@pytest.mark.parametrize("padding", [0, 20, 500])
@pytest.mark.parametrize("version", [2, 3, 4])
def test_a_tag_keeps_its_version_and_every_other_byte(version: int, padding: int, unsynchronised: bool) -> None:
    old = id3_tag(version, padding, unsynchronised=unsynchronised and version < 4)
    new = id3.with_field(old, "WHOPLAYS", TEXT)
    frames = old[10 : len(old) - padding]
    assert new[:6] == old[:6] and new[10 : 10 + len(frames)] == frames
    assert id3.length(new) == len(new)
    assert (len(new) == len(old)) == (padding == 500)
    assert TEXT.encode() in new
    # once more, with a shorter text and back: nothing accumulates
    assert id3.with_field(new, "WHOPLAYS", TEXT) == new
    short = id3.with_field(new, "WHOPLAYS", "none (tiny@1)")
    assert id3.with_field(short, "WHOPLAYS", TEXT) == new
    assert mutagen_text(new) == TEXT


def mutagen_text(tag: bytes) -> str:
    from io import BytesIO

    from mutagen.id3 import ID3

    return str(ID3(BytesIO(tag + bytes(2000)))["TXXX:WHOPLAYS"])


@pytest.mark.parametrize("version", [2, 3, 4])
def test_labels_of_any_language(version: int) -> None:
    for unsynchronised in (False, True):
        text = "trąbka 0.90; бубен 0.80 (tiny@1)"
        new = id3.with_field(id3_tag(version, unsynchronised=unsynchronised and version < 4), "WHOPLAYS", text)
        assert mutagen_text(new) == text
        assert id3.with_field(new, "WHOPLAYS", text) == new


def test_sizes_that_are_written_in_the_other_way() -> None:
    """Some programs write plain sizes in version 2.4."""
    content = b"\3" + b"x" * 200
    frames = b"TIT2" + len(content).to_bytes(4) + b"\0\0" + content + b"TPE1" + (2).to_bytes(4) + b"\0\0\3y"
    new = id3.with_field(b"ID3\4\0\0" + syncsafe(len(frames)) + frames, "WHOPLAYS", TEXT)
    assert new[10 : 10 + len(frames)] == frames and new[10 + len(frames) :][:4] == b"TXXX"


def test_a_footer_and_an_extended_header() -> None:
    frame = b"TIT2" + syncsafe(3) + b"\0\0\3ab"
    header = bytes([4, 0, 0x10]) + syncsafe(len(frame))
    new = id3.with_field(b"ID3" + header + frame + b"3DI" + header, "WHOPLAYS", TEXT)
    assert new[-10:-7] == b"3DI" and new[-7:] == new[3:10] and id3.length(new) == len(new)
    extended = (6).to_bytes(4) + bytes(6)
    body = extended + b"TIT2" + (2).to_bytes(4) + b"\0\0\0a"
    new = id3.with_field(b"ID3\3\0\x40" + syncsafe(len(body)) + body, "WHOPLAYS", TEXT)
    assert new[10 : 10 + len(body)] == body and new[10 + len(body) :][:4] == b"TXXX"


@pytest.mark.parametrize(
    "tag",
    [
        b"ID3\1\0\0" + syncsafe(0),
        b"ID3\2\0\x40" + syncsafe(0),
        b"ID3\3\0\0" + syncsafe(20) + b"TIT2" + (500).to_bytes(4) + bytes(12),
        b"ID3\3\0\x40" + syncsafe(14) + (10).to_bytes(4) + b"\x80" + bytes(9),
    ],
)
def test_a_tag_that_cannot_be_changed_alone_is_refused(tag: bytes) -> None:
    with pytest.raises(ValueError, match="ID3 tag"):
        id3.with_field(tag, "WHOPLAYS", TEXT)


ID3V1 = b"TAG" + b"Old title".ljust(30, b"\0") + bytes(94) + b"\x11"


@pytest.mark.parametrize("version", [None, 2, 3, 4])
@pytest.mark.parametrize("end", [b"", ID3V1, b"APETAGEX" + bytes(24)])
def test_an_mp3_keeps_its_other_tags(version: int | None, end: bytes, tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp3")
    tag = b"" if version is None else id3_tag(version, 300)
    sound = path.read_bytes()
    path.write_bytes(tag + sound + end)
    tags.write(path, PREDICTION)
    new = path.read_bytes()
    assert new.endswith(sound + end)
    if version is None:
        assert new == id3.with_field(b"", "WHOPLAYS", TEXT) + sound + end
    else:
        assert new == id3.with_field(tag, "WHOPLAYS", TEXT) + sound + end


@pytest.mark.parametrize("kind", ["wav", "aiff"])
@pytest.mark.parametrize("tagged", [False, True])
def test_chunks_stay(kind: str, tagged: bool, tmp_path: Path) -> None:
    path = make(tmp_path / f"a.{kind}")
    name, order = (b"id3 ", "little") if kind == "wav" else (b"ID3 ", "big")

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + len(content).to_bytes(4, order) + content + bytes(len(content) % 2)

    before, after = chunk(b"odd ", b"12345"), chunk(b"LAST", b"xyz")
    old = path.read_bytes() + before + (chunk(name, id3_tag(3)) if tagged else b"") + after
    old = old[:4] + (len(old) - 8).to_bytes(4, order) + old[8:]
    path.write_bytes(old)
    tags.write(path, PREDICTION)
    new = path.read_bytes()
    assert int.from_bytes(new[4:8], order) == len(new) - 8
    tag = id3.with_field(id3_tag(3), "WHOPLAYS", TEXT) if tagged else id3.with_field(b"", "WHOPLAYS", TEXT)
    middle = [chunk(name, tag), after] if tagged else [after, chunk(name, tag)]
    start = len(old) - len(after) - (len(chunk(name, id3_tag(3))) if tagged else 0)
    assert new == old[:4] + new[4:8] + old[8:start] + b"".join(middle)
    assert tags.read(path) == TEXT


@pytest.mark.parametrize("padding", [0, 50, 4000])
@pytest.mark.parametrize("comments", [True, False])
def test_flac_blocks_stay(padding: int, comments: bool, tmp_path: Path) -> None:
    path = make(tmp_path / "a.flac")
    old = path.read_bytes()
    at, blocks = 4, []
    while True:
        size = int.from_bytes(old[at + 1 : at + 4])
        blocks.append((old[at] & 0x7F, old[at + 4 : at + 4 + size]))
        at += 4 + size
        if old[at - 4 - size] & 0x80:
            break
    sound = old[at:]
    entry = b"COMMENT=not \xff UTF-8"
    content = bytes(4) + (2).to_bytes(4, "little")
    content += b"".join(len(one).to_bytes(4, "little") + one for one in (entry, b"without a sign"))
    kept = [(2, b"APPLrest"), (100, b"reserved kind")] + ([(4, content)] if comments else [])
    parts = [blocks[0], *kept, *([(1, bytes(padding))] if padding else [])]

    def written(parts: list[tuple[int, bytes]]) -> bytes:
        return b"fLaC" + b"".join(
            bytes([kind | (0x80 if i == len(parts) else 0)]) + len(block).to_bytes(3) + block
            for i, (kind, block) in enumerate(parts, 1)
        )

    path.write_bytes(written(parts) + sound)
    tags.write(path, PREDICTION)
    new = path.read_bytes()
    set_to = tagedits.with_comment(content if comments else bytes(8), "WHOPLAYS", TEXT)
    growth = len(set_to) - (len(content) if comments else -4)
    expected = [(kind, set_to if kind == 4 else block) for kind, block in parts]
    if not comments:
        expected.insert(1, (4, set_to))
    if padding >= growth:
        expected[-1] = (1, bytes(padding - growth))
        assert len(new) == len(written(parts) + sound)
    assert new == written(expected) + sound
    assert entry in set_to and b"without a sign" in set_to if comments else True
    assert tags.read(path) == TEXT


def test_ogg_comments_that_are_no_text_stay(tmp_path: Path) -> None:
    from mutagen.oggvorbis import OggVorbis

    path = make(tmp_path / "a.ogg")
    file = OggVorbis(path)
    raw = bytes(4) + (2).to_bytes(4, "little")
    raw += b"".join(len(one).to_bytes(4, "little") + one for one in (b"A=not \xff UTF-8", b"without a sign")) + b"\1"
    file.tags.write = lambda framing=True: raw
    file.save(padding=lambda info: 0)
    assert b"A=not \xff UTF-8" in path.read_bytes()
    tags.write(path, PREDICTION)
    assert tagedits.with_comment(raw, "WHOPLAYS", TEXT) in path.read_bytes()
    assert tags.read(path) == TEXT


def test_mp4_atoms_stay_in_their_order(tmp_path: Path) -> None:
    from mutagen.mp4 import MP4, Atoms

    path = make(tmp_path / "a.m4a")

    def atom(name: bytes, content: bytes) -> bytes:
        return (8 + len(content)).to_bytes(4) + name + content

    odd = [
        atom(b"\xa9cmt", atom(b"data", (1).to_bytes(4) + bytes(4) + b"comment")),
        atom(b"qqqq", atom(b"data", bytes(8) + b"\xff\xfe")),
        atom(b"\xa9nam", atom(b"data", (1).to_bytes(4) + bytes(4) + b"name \xff")),
    ]
    file = MP4(path)
    if file.tags is None:
        file.add_tags()
    file.tags.clear()
    file.tags["\xa9nam"] = ["x"]
    file.tags._render = lambda key, value: b"".join(odd)
    file.save()

    def ilst() -> bytes:
        with path.open("rb") as file:
            found = Atoms(file)[b"moov.udta.meta.ilst"]
            file.seek(found.offset + 8)
            return file.read(found.length - 8)

    assert ilst() == b"".join(odd)
    tags.write(path, PREDICTION)
    first = ilst()
    assert first.startswith(b"".join(odd)) and first.count(b"WHOPLAYS") == 1
    tags.write(path, PREDICTION)
    assert ilst() == first and tags.read(path) == TEXT


@pytest.mark.parametrize("fields", [[], ["WM/Year", "Odd\x01Name"], ["WM/Year", "whoplays", "Title"]])
def test_asf_descriptors_stay(fields: list[str], tmp_path: Path) -> None:
    def sized(content: bytes) -> bytes:
        return len(content).to_bytes(2, "little") + content

    def extended(names: list[str]) -> bytes:
        """The object of extended descriptors, the value of each a DWORD that mutagen would write as it likes."""
        coded = (sized(f"{name}\0".encode("utf-16-le")) + b"\3\0" + sized(b"\1\2\3\4") for name in names)
        content = len(names).to_bytes(2, "little") + b"".join(coded)
        return tagedits._ASF_FIELDS + (24 + len(content)).to_bytes(8, "little") + content

    path = make(tmp_path / "a.wma")
    old = path.read_bytes()
    size = int.from_bytes(old[16:24], "little")
    at, objects = 30, []
    while at < size:
        length = int.from_bytes(old[at + 16 : at + 24], "little")
        objects.append(old[at : at + length])
        at += length
    others = [one for one in objects if not one.startswith(tagedits._ASF_FIELDS)]
    if fields:
        others.insert(1, extended(fields))
    header = b"".join(others)
    size_at = header.find(tagedits._ASF_FILE) + 40
    header = header[:size_at] + (30 + len(header) + len(old) - size).to_bytes(8, "little") + header[size_at + 8 :]
    head = old[:16] + (30 + len(header)).to_bytes(8, "little") + len(others).to_bytes(4, "little") + old[28:30]
    path.write_bytes(head + header + old[size:])
    before = path.read_bytes()

    tags.write(path, PREDICTION)
    new = path.read_bytes()
    assert tags.read(path) == TEXT
    field = sized("WHOPLAYS\0".encode("utf-16-le")) + b"\0\0" + sized(f"{TEXT}\0".encode("utf-16-le"))
    assert new.count(field) == 1 and new.endswith(old[size:])
    assert int.from_bytes(new[16:24], "little") == len(new) - len(old[size:])
    bare, kept = new.replace(field, b""), before
    if not fields:
        bare = bare.replace(extended([])[:16] + (24 + 2 + len(field)).to_bytes(8, "little") + b"\1\0", b"")
    if "whoplays" in fields:
        kept = kept.replace(extended(["whoplays"])[26:], b"")
    assert len(bare) == len(kept) and sum(a != b for a, b in zip(bare, kept, strict=True)) <= 8  # sizes and counts
    tags.write(path, PREDICTION)
    assert path.read_bytes() == new


@pytest.mark.parametrize("has_header", [True, False])
def test_ape_items_stay(has_header: bool) -> None:
    from io import BytesIO

    items = b"".join(
        len(value).to_bytes(4, "little") + flags.to_bytes(4, "little") + key + b"\0" + value
        for key, flags, value in ((b"Title", 0, b"a"), (b"Cover Art", 2, bytes(range(256))))
    )
    flags = (1 << 31) * has_header

    def frame(size: int, count: int, more: int) -> bytes:
        return tagedits._APE_FOOTER.pack(b"APETAGEX", 2000, size + 32, count, flags | more)

    old = b"wvpk" + bytes(100) + (frame(len(items), 2, 1 << 29) if has_header else b"")
    old += items + frame(len(items), 2, 0) + ID3V1
    out = BytesIO()
    tagedits.apply(BytesIO(old), out, tagedits.edits(BytesIO(old), "WHOPLAYS", TEXT) or [])
    new = out.getvalue()
    field = len(TEXT).to_bytes(4, "little") + bytes(4) + b"WHOPLAYS\0" + TEXT.encode()
    size = len(items) + len(field)
    expected = b"wvpk" + bytes(100) + (frame(size, 3, 1 << 29) if has_header else b"")
    assert new == expected + items + field + frame(size, 3, 0) + ID3V1
    again = BytesIO()
    tagedits.apply(BytesIO(new), again, tagedits.edits(BytesIO(new), "WHOPLAYS", TEXT) or [])
    assert again.getvalue() == new


def test_owner_mode_and_times_stay_and_split_links_are_reported(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp3")
    path.chmod(0o604)
    os.utime(path, ns=(10**18, 10**18 + 5))
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.chown(path, 1234, 2345)
    before = path.stat()
    assert tags.write(path, PREDICTION) == ""
    after = path.stat()
    for name in ("st_mode", "st_uid", "st_gid", "st_mtime_ns"):
        assert getattr(after, name) == getattr(before, name), name
    os.link(path, tmp_path / "b.mp3")
    assert "hard links are split" in tags.write(path, PREDICTION)


def test_a_finished_table_catches_up_with_its_tags(tiny_model: Path, tmp_path: Path) -> None:
    from test_cli import run

    folder = tmp_path / "in"
    folder.mkdir()
    paths = [make(folder / name) for name in ("a.flac", "b.mp3")]
    refused = make(folder / "c.au")  # a container without tags
    common = ["predict", folder, "--model", tiny_model, "--out", tmp_path / "r.jsonl", "--resume"]
    assert run(*common).returncode == 0
    assert not any(map(tags.read, paths))
    first = run(*common, "--write-tags")
    assert first.returncode == 1 and "c.au: cannot be tagged" in first.stderr
    assert "2 recordings tagged from the table" in first.stderr
    assert all("(tiny@1)" in str(tags.read(path)) for path in paths)
    again = run(*common, "--write-tags")
    assert again.returncode == 1 and "3 of 3 recordings are done and unchanged" in again.stderr
    assert "c.au: cannot be tagged" in again.stderr and "tagged from the table" not in again.stderr
    make(refused.with_suffix(".wav")).replace(refused)
    assert run(*common, "--write-tags").returncode == 0
    assert "(tiny@1)" in str(tags.read(refused))

"""Real music to learn from: what DATA/music.csv and recordings.csv list, and the music of Debian's games, cut into clips.

recordings.csv says who plays; of the others nobody has, so teachers will (`soft_labels`). A track comes from a Debian
package, which is fetched here, or from a bare clone of a Git repository in a folder that the caller names. MATERIAL/clips
then holds, for each track, NAME.npy, int16 (clips, 327680): 10.24 s each, mono at 32 kHz; and tracks.csv, what they are, by
whom, under which licence.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from whoplays.audio.reading import load
from whoplays.errors import AudioError, RenderError
from whoplays.storage.files import write_atomically

from .notes import SAMPLE_RATE
from .scenes import N_SAMPLES

Array = NDArray[np.float32]

#: Files extracted from a package: recordings, soundfonts, and archives that hold recordings.
RECORDINGS = (".ogg", ".mp3", ".opus", ".flac", ".wav", ".g722", ".webm", ".m4a")
ARCHIVES = (".pk3", ".zip")
KEPT = (*RECORDINGS, *ARCHIVES, ".sf2", ".sf3")
#: Most seconds of a track that are used, by its kind: people who play change more than sequences do.
LONGEST_S = {"recorded": 900.0, "mixed": 300.0, "sequenced": 300.0, "game": 120.0, "known": 60.0}
#: Bytes under which a file of a game is a sound effect.
LEAST_BYTES = 400_000
#: Peak under which a clip is silent, and seconds under which a track is no music.
SILENT, SHORTEST_S = 0.003, 2.5
GUITAR_STEM = "guitar.ogg"
TRACKS = "tracks.csv"
#: Recordings whose players are known, of public repositories and packages.
RECORDINGS_LIST = Path(__file__).with_name("recordings.csv")


@dataclass(frozen=True)
class Track:
    """A piece of music.

    Attributes
    ----------
    name : str
        Of its file of clips.
    source : str
        "deb:PACKAGE" or "github:OWNER/NAME".
    pin : str
        The package's version or the repository's commit.
    path : str
        In the source; of a file in an archive, the archive's and the file's, with "!" between them.
    licence, artist, title : str
    kind : str
        "recorded" (people play), "mixed", "sequenced", "game" for music that no table lists, or "known" for recordings
        whose players are known.
    present : str
        Labels that play, with semicolons between them; empty where nobody has said.
    alone : str
        "1" when nothing else plays.
    """

    name: str
    source: str
    pin: str
    path: str
    licence: str
    artist: str
    title: str
    kind: str
    present: str = ""
    alone: str = ""


def read_tracks(table: Path) -> list[Track]:
    """Return the tracks of a music.csv. Raises `RenderError` when there is none."""
    if not table.is_file():
        raise RenderError(f"{table} is missing; DATA must hold a list of music")
    with table.open(newline="", encoding="utf-8") as file:
        return [
            Track(
                f"t{i:04d}", row["source"], row["pin"], row["path"], row["licence"], row["artist"], row["title"],
                kind_of(row["genre_guess"]),
            )
            for i, row in enumerate(csv.DictReader(file))
        ]  # fmt: skip


def known_tracks(table: Path = RECORDINGS_LIST) -> list[Track]:
    """Return the recordings whose players are known."""
    with table.open(newline="", encoding="utf-8") as file:
        return [
            Track(
                f"h{i:04d}", row["source"], row["pin"], row["path"], row["licence"], row["artist"],
                PurePosixPath(row["path"]).stem, "known", row["present"], row["alone"],
            )
            for i, row in enumerate(csv.DictReader(file))
        ]  # fmt: skip


def kind_of(guess: str) -> str:
    """Return a track's kind from how its description begins: "[recorded 1918] band" -> "recorded"."""
    words = guess.removeprefix("[")
    return next((kind for kind in ("recorded", "mixed") if words.startswith(kind)), "sequenced")


def fetch_package(package: str, folder: Path) -> Path:
    """Fetch a Debian package and unpack what is sound into `folder`/`package`; do nothing where that is done.

    Raises
    ------
    RenderError
        When apt-get or dpkg-deb fail.
    """
    target, done = folder / package, folder / f"{package}.done"
    if done.exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "download", "-qq", package], target)
    for archive in sorted(target.glob("*.deb")):
        with (
            subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as members,
        ):
            for member in members:
                if member.isfile() and member.name.lower().endswith(KEPT):
                    members.extract(member, target, filter="data")
        archive.unlink()
    done.touch()
    return target


def _run(command: list[str], folder: Path) -> bytes:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
    except FileNotFoundError:
        raise RenderError(f"{command[0]} is missing; install it, or render on Debian or Ubuntu") from None
    except subprocess.CalledProcessError as error:
        raise RenderError(f"{' '.join(command)}: {error.stderr.decode(errors='replace').strip()}") from None


def content_of(track: Track, packages: Path, repositories: Path | None) -> bytes:
    """Return a track's file.

    Parameters
    ----------
    track : Track
    packages : Path
        Where packages are unpacked; the track's is fetched when it is not there.
    repositories : Path or None
        Holds bare clones, OWNER+NAME/repo or OWNER/NAME. Where a clone lacks the pin, the newest commit is used and
        that is printed.

    Raises
    ------
    RenderError
        When the package, the repository or the file in it is missing.
    """
    kind, _, source = track.source.partition(":")
    if kind == "github":
        return _from_repository(track, source, repositories)
    path, _, member = track.path.partition("!")
    file = fetch_package(source, packages) / path.lstrip("/")
    if not file.is_file():
        raise RenderError(f"{track.source}: holds no {path}; its version differs from {track.pin}")
    if not member:
        return file.read_bytes()
    try:
        return _member(file, member)
    except KeyError:
        raise RenderError(f"{track.source}: {path} holds no {member}") from None


def _from_repository(track: Track, source: str, repositories: Path | None) -> bytes:
    if repositories is None:
        raise RenderError(f"{track.source}: name the folder of clones with --repositories")
    clones = (repositories / source.replace("/", "+") / "repo", repositories / source)
    clone = next((folder for folder in clones if folder.is_dir()), None)
    if clone is None:
        raise RenderError(f"{track.source}: not among the clones; git clone --bare it to {clones[1]}")
    for commit in (track.pin, "HEAD"):
        try:
            content = _run(["git", "--git-dir", str(clone), "show", f"{commit}:{track.path}"], clone)
        except RenderError as error:
            problem = error
            continue
        if commit != track.pin:
            print(f"{track.source}: has no {track.pin[:12]}; {track.path} is of its newest commit", flush=True)
        return content
    raise problem


def game_music(packages: Path, listed: Sequence[Track]) -> Iterator[tuple[Track, Callable[[], bytes]]]:
    """Yield the music of unpacked packages that is not listed, with what reads it; files in archives too."""
    known = {f"{track.source[4:]}/{track.path.lstrip('/')}" for track in listed if track.source.startswith("deb:")}
    for path in sorted(path for path in packages.rglob("*") if path.is_file()):
        place = path.relative_to(packages).as_posix()
        found: list[tuple[str, Callable[[], bytes]]] = []
        if path.suffix.lower() in ARCHIVES:
            with zipfile.ZipFile(path) as archive:
                members = [
                    m.filename for m in archive.infolist() if m.file_size >= LEAST_BYTES and "music/" in m.filename
                ]
            found = [(f"{place}!{member}", partial(_member, path, member)) for member in members]
        elif path.stat().st_size >= LEAST_BYTES and path.name != GUITAR_STEM:
            found = [(place, path.read_bytes)]
        for name, read in found:
            if name not in known and name.lower().endswith(RECORDINGS):
                package, _, inside = name.partition("/")
                short = hashlib.sha256(name.encode()).hexdigest()[:10]
                title = PurePosixPath(inside.rpartition("!")[2]).stem
                yield Track(f"g{short}", f"deb:{package}", "", inside, "see the package", "", title, "game"), read


def _member(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def clips_of(content: bytes, longest_s: float) -> NDArray[np.int16]:
    """Return clips (n, 327680) of a recording: one after the other, silent ones left out.

    A recording shorter than a clip is repeated; one under `SHORTEST_S` gives none. Raises `AudioError`.
    """
    wave = load(io.BytesIO(content), sample_rate=SAMPLE_RATE, duration=longest_s)
    if wave.size < SHORTEST_S * SAMPLE_RATE:
        return np.zeros((0, N_SAMPLES), dtype=np.int16)
    count = max(1, wave.size // N_SAMPLES)
    clips = np.resize(wave, (count, N_SAMPLES))
    clips = clips[np.abs(clips).max(axis=1) > SILENT]
    return np.asarray(np.clip(clips, -1, 1) * 32767, dtype=np.int16)


def cut(
    data: Path, material: Path, repositories: Path | None, *, games: Sequence[str] = (), at_most: int | None = None
) -> list[Track]:
    """Cut the tracks of `data`/music.csv, of recordings.csv and of games into `material`/clips; those that are there stay.

    Parameters
    ----------
    data, material : Path
    repositories : Path or None
        See `content_of`.
    games : sequence of str
        Further packages whose music is used.
    at_most : int, optional
        Listed tracks to use: the first of each kind in turn, so that few are still of all kinds.

    Returns
    -------
    list of Track
        Those that gave clips, also written to `material`/clips/tracks.csv. What is missing is printed, one line each.
    """
    packages, folder = material / "packages", material / "clips"
    listed = [*read_tracks(data / "music.csv"), *known_tracks()]
    folder.mkdir(parents=True, exist_ok=True)
    tracks = listed if at_most is None else _of_all_kinds(listed, at_most)
    used: list[Track] = []
    for package in games:
        fetch_package(package, packages)

    offered: list[tuple[Track, Callable[[], bytes]]] = [
        (track, partial(content_of, track, packages, repositories)) for track in tracks
    ]
    for track, read in itertools.chain(offered, game_music(packages, listed)):
        path = folder / f"{track.name}.npy"
        if not path.exists():
            try:
                clips = clips_of(read(), LONGEST_S[track.kind])
            except (RenderError, AudioError) as error:
                print(f"{track.path}: {error}", flush=True)
                continue
            write_atomically(path, partial(np.save, arr=clips), durable=False)
        used.append(track)
    write_tracks(folder / TRACKS, used)
    return used


def _of_all_kinds(tracks: Sequence[Track], count: int) -> list[Track]:
    by_kind: dict[str, list[Track]] = {}
    for track in tracks:
        by_kind.setdefault(f"{track.kind} {track.source.partition(':')[0]}", []).append(track)
    turns = [group[i : i + 1] for i in range(count) for group in by_kind.values()]
    return [track for turn in turns for track in turn][:count]


def write_tracks(path: Path, tracks: Sequence[Track]) -> None:
    """Write a table of tracks."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [field.name for field in fields(Track)])
    writer.writeheader()
    writer.writerows(asdict(track) for track in tracks)
    write_atomically(path, text.getvalue().encode())


def used_tracks(material: Path) -> list[Track]:
    """Return the tracks that `cut` listed. Raises `RenderError` when it has not run."""
    path = material / "clips" / TRACKS
    if not path.is_file():
        raise RenderError(f"{path} is missing; cut music first: python -m recipe music DATA {material}")
    with path.open(newline="", encoding="utf-8") as file:
        return [Track(**row) for row in csv.DictReader(file)]


def credits(tracks: Sequence[Track]) -> str:
    """Return, for a model's card, what was learnt from: each licence with its sources and artists, in Markdown."""
    by_licence: dict[str, dict[str, set[str]]] = {}
    for track in tracks:
        by_licence.setdefault(track.licence, {}).setdefault(track.source, set()).add(track.artist)
    lines = []
    for licence, sources in sorted(by_licence.items()):
        named = [
            f"{source} ({', '.join(sorted(filter(None, artists)))})" if any(artists) else source
            for source, artists in sorted(sources.items())
        ]
        lines.append(f"- {licence}: {'; '.join(named)}")
    return "\n".join(lines) + "\n"

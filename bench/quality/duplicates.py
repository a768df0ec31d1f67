"""Copies of a recording found by `similar --duplicates`: other encodings, rates, levels and starts; and false pairs.

python -m bench duplicates DATA [--songs 19] [--keep]

From each of DATA/songs FFmpeg makes a copy in every way of `WAYS`. Those, the songs and the recordings of the development half of
real/ of 6 s or more are embedded into one table, and duplicates are looked for. *Found* is a copy in the group of its song;
*close* one whose embedding alone is near enough to be compared as sound; a false pair joins two recordings that are not the
same. Recordings cut from one longer one count as the same (the manifest's source; songs of one performance).
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from bench import measure
from bench.quality.real import RATE, real_recordings
from whoplays.results import embedding_table, similar

ARGUMENTS = ("DATA --keep",)
SMALL = "DATA --songs 3"
LONG_S = 6.0
WAYS = {
    "MP3, 64 kbit/s": ("mp3", ["-b:a", "64k"]),
    "MP3, 32 kbit/s at 16 kHz": ("mp3", ["-b:a", "32k", "-ar", "16000"]),
    "Vorbis, quality 2": ("ogg", ["-q:a", "2"]),
    "Opus, 24 kbit/s": ("opus", ["-b:a", "24k"]),
    "AAC, 64 kbit/s": ("m4a", ["-b:a", "64k"]),
    "WAV, 8 kHz, 8 bits": ("wav", ["-ar", "8000", "-c:a", "pcm_u8"]),
    "FLAC, 12 dB quieter": ("flac", ["-af", "volume=-12dB"]),
    "FLAC, treble up, bass down by 6 dB": ("flac", ["-af", "treble=g=6,bass=g=-6"]),
    "MP3, from 2.1 s on": ("mp3", ["-ss", "2.1", "-b:a", "128k"]),
    "FLAC, 3 % faster": ("flac", ["-af", "asetrate=32960,aresample=32000"]),
}


def originals(data: Path, folder: Path, songs: int) -> tuple[dict[Path, str], list[Path]]:
    """Write the recordings; return each with the name of what it was cut from, and the songs."""
    found = {}
    for path in sorted((data / "songs").glob("*.ogg"))[:songs]:
        samples, rate = soundfile.read(path)
        soundfile.write(folder / f"{path.stem}.flac", samples, rate)
        found[folder / f"{path.stem}.flac"] = path.stem.removesuffix("-v0").removesuffix("-v1")
    copied = list(found)
    for i, clip in enumerate(real_recordings(data, "development")):
        if len(clip.samples) >= LONG_S * RATE:
            path = folder / f"real{i}.flac"
            soundfile.write(path, clip.samples, RATE)
            found[path] = clip.sources[0]
    return found, copied


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--songs", type=int, default=19)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "music"
        folder.mkdir()
        sources, copied = originals(args.data, folder, args.songs)
        way_of = {}
        for path, (i, (way, (ending, options))) in itertools.product(copied, enumerate(WAYS.items())):
            copy = path.with_name(f"{path.stem}-{i}.{ending}")
            command = ["ffmpeg", "-loglevel", "error", "-i", path, *options, copy]
            subprocess.run([str(word) for word in command], check=True)
            way_of[copy], sources[copy] = (way, path), sources[path]
        table = Path(made) / "embeddings.npz"
        subprocess.run([sys.executable, "-m", "whoplays", "embed", folder, "-o", table], check=True)
        rows, pairs, false = evaluate(embedding_table.load(table), sources, way_of)
    for row in rows:
        print(row)
    summary = f"{pairs} pairs of files were joined, {false} of them falsely."
    print(summary)
    if args.keep:
        measure.keep(
            "duplicates",
            f"Copies of {len(copied)} songs in a table of {len(sources)} files",
            rows,
            peer="none",
            packages=("onnxruntime",),
            remarks=f"{summary} Real recordings of {LONG_S:g} s or more of the development half are in the table as they are.",
        )


def evaluate(
    table: embedding_table.Embeddings, sources: dict[Path, str], way_of: dict[Path, tuple[str, Path]]
) -> tuple[list[dict[str, object]], int, int]:
    """Return a row for each way, the pairs of files that were joined, and how many of those are false."""
    paths = [Path(path) for path in table.path.tolist()]
    place = {path: i for i, path in enumerate(paths)}
    groups = [{paths[copy.row] for copy in group} for group in similar.duplicates(table, lambda path, why: None)]
    group_of = {path: i for i, group in enumerate(groups) for path in group}
    rows: list[dict[str, object]] = []
    for way in WAYS:
        copies = [(copy, path) for copy, (its, path) in way_of.items() if its == way]
        close = [
            table.embedding[place[copy]] @ table.embedding[place[path]] > similar.CANDIDATE for copy, path in copies
        ]
        found = [copy in group_of and group_of[copy] == group_of.get(path) for copy, path in copies]
        rows.append({"copy": way, "copies": len(copies), "close": int(np.sum(close)), "found": int(np.sum(found))})
    joined = [pair for group in groups for pair in itertools.combinations(sorted(group), 2)]
    return rows, len(joined), sum(sources[a] != sources[b] for a, b in joined)


if __name__ == "__main__":
    main()

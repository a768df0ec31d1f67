"""The downloader against a real server on loopback that goes wrong by rule: real yt-dlp, real ffmpeg, real files."""

import concurrent.futures
import contextlib
import csv
import dataclasses
import hashlib
import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("yt_dlp", reason="the extra 'audioset' is not installed")

from standin import OUTCOMES, RATE, STEP_HZ, TONE_HZ, Site, make_ready

from conftest import COMMAND_S, invoke
from whoplays.dataset.sources import read_source
from whoplays.errors import DownloadError, UsageError, WhoplaysError
from whoplays.sources.audioset import PlannedClip
from whoplays.sources.audioset.download import (
    Access,
    Cause,
    Settings,
    Template,
    download,
    dry_run,
    read_cookies,
    verify,
)
from whoplays.sources.audioset.download import fetch as fetch_module
from whoplays.sources.audioset.download.causes import ClipUnavailable, cause_of_words, parse_retry_after
from whoplays.sources.audioset.download.display import summary
from whoplays.sources.audioset.download.ffmpeg import Cutter, Media, find_ffmpeg
from whoplays.sources.audioset.download.ledger import Ledger
from whoplays.sources.audioset.download.pacing import Pacer, Stopped, backoff_s
from whoplays.sources.audioset.download.source import _lost
from whoplays.storage.files import only_writer

START_S, END_S = 8, 18


def video(number):
    return f"{number:011d}"


def clip(number, family="piano", rank=None, start_s=START_S, **more):
    name = number if isinstance(number, str) else video(number)
    families = more.pop("families", (family,))
    end = (start_s + END_S - START_S) * 1000
    return PlannedClip(name, start_s * 1000, end, family, (), families, rank=rank or 1, **more)


def clips(count, family="piano", first=0):
    return [clip(first + number, family, rank=number + 1) for number in range(count)]


def settings(site, **changes):
    usual = {"jobs": 8, "backoff_s": 0.05, "attempts": 2, "timeout_s": 15.0, "rate": RATE}
    return Settings(template=Template(site.template), **usual | changes)


def rows(folder):
    """What the ledger says of every clip, by video."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.sqlite")) as db:
        db.row_factory = sqlite3.Row
        return {row["video_id"]: row for row in db.execute("select * from clips")}


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def seconds_of(path):
    """Which seconds of the recording a file holds, by the tone of each: 8, 9, 10, ..."""
    samples, rate = soundfile.read(path)
    samples = samples[: len(samples) // rate * rate].reshape(-1, rate)
    # The middle of each second: its ends may hold a bit of the neighbour.
    spectra = np.abs(np.fft.rfft(samples[:, rate // 4 : -rate // 4] * np.hanning(rate // 2)))
    return [round((peak * 2 - TONE_HZ) / STEP_HZ) for peak in spectra.argmax(axis=1)]


# ---------------------------------------------------------------- every fault, in one run

DONE = "done"
EXPECTED = {rule: outcome if outcome == DONE else Cause(outcome) for rule, outcome in OUTCOMES.items()}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """One clip for each rule, fetched in one run; the folder, the site and the outcome."""
    folder = tmp_path_factory.mktemp("faulty") / "clips"
    ids = {rule: video(number) for number, rule in enumerate(EXPECTED)}
    make_ready()
    with Site({name: rule for rule, name in ids.items()}, stall_s=8.0) as site:
        outcome = download([clip(name) for name in ids.values()], [], folder, settings(site, jobs=12, timeout_s=5.0))
        yield folder, site, outcome, ids


@pytest.mark.parametrize("rule", EXPECTED)
def test_every_clip_is_had_or_lost_with_its_true_cause(faulty, rule):
    folder, _, _, ids = faulty
    row = rows(folder)[ids[rule]]
    expected = EXPECTED[rule]
    assert (row["state"] if expected == DONE else row["cause"]) == expected, row["detail"]
    file = folder / "piano" / f"{ids[rule]}_8000.flac"
    assert file.exists() == (expected == DONE)
    if expected == DONE:
        first = 0 if rule.startswith("clip") else START_S
        assert seconds_of(file) == list(range(first, first + 10))
    else:
        assert row["detail"] and "\n" not in row["detail"]


def test_only_transient_errors_are_retried_and_no_more_often_than_requested(faulty):
    folder, _, _, ids = faulty
    found = rows(folder)
    again = {Cause.THROTTLED, Cause.NETWORK, Cause.TRUNCATED}
    for rule, expected in EXPECTED.items():
        if expected != DONE:
            assert found[ids[rule]]["attempts"] == (2 if expected in again else 1), rule


def test_nothing_is_left_over_and_the_outcome_counts_right(faulty):
    folder, _, outcome, _ = faulty
    done = sum(expected == DONE for expected in EXPECTED.values())
    assert outcome.fetched == outcome.states["piano"]["done"] == done
    assert outcome.missing == len(EXPECTED) - done
    assert Counter(EXPECTED.values()) == outcome.states["piano"]
    assert not [name for name in files(folder) if not name.startswith(("piano/", "ledger.sqlite", "manifest.csv"))]
    assert len([name for name in files(folder) if name.startswith("piano/")]) == done


def test_the_manifest_describes_the_files(faulty):
    folder, _, outcome, _ = faulty
    with (folder / "manifest.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == outcome.fetched
    for row in listed:
        samples, rate = soundfile.read(folder / row["path"])
        assert float(row["duration_s"]) == len(samples) / rate == 10.0
        assert float(row["rms_dbfs"]) == pytest.approx(10 * np.log10(np.mean(samples**2)), abs=0.02)
        assert float(row["peak_dbfs"]) == pytest.approx(20 * np.log10(np.abs(samples).max()), abs=0.02)
    assert verify(folder) == (len(listed), [])


def test_retry_after_is_obeyed(tmp_path):
    with Site({video(0): "429 twice"}) as site:
        download(clips(1), [], tmp_path / "out", settings(site, attempts=3))
        gaps = np.diff(site.times[:3])
    assert (gaps >= 1.0).all(), gaps


def test_a_host_that_asks_to_wait_is_left_alone_by_all(tmp_path):
    with Site({video(0): "429 once"}) as site:
        outcome = download(clips(6), [], tmp_path / "out", settings(site, jobs=1, attempts=3))
        refused = site.times[0]
    assert outcome.missing == 0
    assert all(moment - refused >= 1.0 for moment in site.times[1:])


# ---------------------------------------------------------------- what is fetched


@pytest.mark.parametrize(("ending", "rate", "channels"), [("flac", 22050, 1), ("wav", 44100, 2), ("ogg", 16000, 1)])
def test_format_rate_and_channels_are_as_requested(tmp_path, ending, rate, channels):
    with Site() as site:
        download(clips(1), [], tmp_path, settings(site, ending=ending, rate=rate, channels=channels))
    [file] = tmp_path.glob(f"piano/*.{ending}")
    found = soundfile.info(file)
    assert (found.samplerate, found.channels, found.frames) == (rate, channels, 10 * rate)
    assert seconds_of(file) == list(range(8, 18)) if channels == 1 else True


@pytest.mark.parametrize("rule", ["recording", "no ranges", "wav"])
def test_seconds_are_cut_where_they_should_be_with_and_without_jumping(rule):
    cutter = Cutter(find_ffmpeg(), rate=RATE, channels=1, timeout_s=20)
    with Site({video(0): rule}) as site:
        url = site.template.format(video_id=video(0))
        jumped = cutter.cut(Media(url, {}), 11.5, 4.0)
        read = cutter.cut(Media(url, {}, size=1000), 11.5, 4.0)
    assert len(jumped.samples) == len(read.samples) == 4 * RATE
    for cut in (jumped, read):
        # The tone changes on the second: 11.5 s + 0.5 s.
        first = np.abs(np.fft.rfft(cut.samples[: RATE // 2, 0]))
        assert round((first.argmax() * 2 - TONE_HZ) / STEP_HZ) == 11
        second = np.abs(np.fft.rfft(cut.samples[RATE // 2 : RATE, 0]))
        assert round((second.argmax() * 2 - TONE_HZ) / STEP_HZ) == 12


def test_a_template_with_times_serves_the_clip_itself(tmp_path):
    with Site({video(0): "clip"}) as site:
        template = site.template + "?from={start_s}&to={end_s}&ms={start_ms}-{end_ms}"
        download(clips(1), [], tmp_path, _with(template))
        assert next(iter(site.requests)).endswith("?from=8&to=18&ms=8000-18000")
    assert seconds_of(tmp_path / "piano" / f"{video(0)}_8000.flac") == list(range(10))


def test_a_server_that_ignores_the_times_is_detected(tmp_path):
    with Site() as site:
        download(clips(1), [], tmp_path, _with(site.template + "?from={start_s}"))
    assert seconds_of(tmp_path / "piano" / f"{video(0)}_8000.flac") == list(range(8, 18))


def _with(template):
    return Settings(template=Template(template), jobs=1, rate=RATE, timeout_s=5)


def test_cookies_go_to_the_page_and_to_the_recording(tmp_path):
    text = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tpass\tword\n"
    path = tmp_path / "cookies.txt"
    path.write_text(text)
    with Site() as site:
        download(clips(1), [], tmp_path / "out", settings(site, access=Access(cookies=read_cookies(path))))
        assert len(site.headers) == 2
        assert all("pass=word" in headers.get("Cookie", "") for headers in site.headers)
    assert path.read_text() == text, "the user's cookies are never written to"


def test_a_proxy_is_used_for_the_page_and_for_the_recording(tmp_path):
    with Site() as site:
        template = Template("http://nowhere.invalid/watch/{video_id}")
        access = Access(proxy=site.address)
        outcome = download(clips(1), [], tmp_path, Settings(template=template, access=access, rate=RATE, pace_s=0))
        assert outcome.fetched == 1
        assert all(path.startswith("http://nowhere.invalid") for path in site.requests) and len(site.times) == 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "-", "-out", "-"]
    words += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    path.write_bytes(subprocess.run(words, check=True, capture_output=True).stdout)
    return path


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(tmp_path, certificate):
    with Site(certificate=certificate) as site:
        outcome = download(clips(1), [], tmp_path, settings(site, attempts=1))
    assert outcome.states["piano"] == {"network": 1}
    assert "certificate" in rows(tmp_path)[video(0)]["detail"]


def test_a_certificate_that_the_environment_trusts_is_trusted_by_both(tmp_path, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Site(certificate=certificate) as site:
        outcome = download(clips(1), [], tmp_path, settings(site, timeout_s=10))
    assert outcome.fetched == 1, dict(rows(tmp_path)[video(0)])


# ---------------------------------------------------------------- channels


@pytest.mark.parametrize("channels", [1, 2])
def test_channels_that_cancel_each_other_are_not_silence(tmp_path, channels):
    with Site({video(0): "inverted"}) as site:
        outcome = download(clips(2), [], tmp_path, settings(site, channels=channels))
    assert outcome.fetched == 2
    with (tmp_path / "manifest.csv").open(newline="") as file:
        rows = {row["video_id"]: row for row in csv.DictReader(file)}
    levels = {name: float(row["rms_dbfs"]) for name, row in rows.items()}
    spread_db = 10 * np.log10(channels)  # ffmpeg spreads one channel over two, 3 dB lower in each
    assert levels[video(0)] == pytest.approx(levels[video(1)] + spread_db, abs=0.05)
    assert bool(rows[video(0)]["note"]) == (channels == 1) and not rows[video(1)]["note"]
    assert any("1 x its channels cancel" in line for line in summary(outcome)) == (channels == 1)


# ---------------------------------------------------------------- how many, and when to stop


def test_stand_ins_step_in_for_the_lost_and_no_more_than_needed(tmp_path):
    lost = {video(0): "404", video(3): "private", video(11): "silence"}
    with Site(lost) as site:
        outcome = download(clips(5), clips(10, first=10), tmp_path, settings(site))
        requested = {path[-11:] for path in site.requests}
    assert outcome.missing == 0 and outcome.states["piano"]["done"] == 5
    assert outcome.states["piano"]["waiting"] == 15 - 5 - 3
    assert len(requested) == 8, "nothing is fetched that is not wanted"


def test_classes_fill_side_by_side_and_each_stops_at_its_own_number(tmp_path):
    plan = [*clips(3), *clips(6, "guitar", first=100)]
    with Site({video(n): "410" for n in range(3)}) as site:
        outcome = download(plan, clips(1, "piano", first=50), tmp_path, settings(site))
    assert outcome.states["piano"] == {"done": 1, "removed": 3}
    assert outcome.states["guitar"] == {"done": 6}
    assert outcome.missing == 2


def test_per_class_makes_stand_ins_of_a_plan_without_any(tmp_path):
    with Site({video(1): "404"}) as site:
        outcome = download(clips(6), [], tmp_path, settings(site, per_class=3))
    assert outcome.missing == 0 and outcome.states["piano"] == {"done": 3, "removed": 1, "waiting": 2}


@pytest.mark.parametrize(
    ("rule", "cause", "advice"),
    [("bot", "bot-check", "--cookies"), ("403", "throttled", "--pace"), ("reset", "network", "proxy")],
)
def test_when_the_site_refuses_all_it_stops_with_advice_and_gives_no_clip_up(tmp_path, rule, cause, advice):
    answer = {"rule": rule}
    with Site(lambda _: answer["rule"]) as site:
        outcome = download(clips(60), [], tmp_path, settings(site, stop_after=8, jobs=4, backoff_s=30))
        assert outcome.why_stopped and cause in outcome.why_stopped and advice in outcome.why_stopped
        assert len(site.requests) <= 8 + 4
        assert outcome.states["piano"] == {"waiting": 60}
        answer["rule"] = "recording"
        outcome = download(clips(60)[:12], [], tmp_path, settings(site))
    assert outcome.missing == 0 and not outcome.why_stopped


def test_a_plan_whose_last_clips_all_fail_is_not_mistaken_for_a_refusal(tmp_path):
    bad = {video(n): "500" for n in range(12)}
    with Site(bad) as site:
        outcome = download(clips(40), [], tmp_path, settings(site, stop_after=13, attempts=3))
    assert not outcome.why_stopped
    assert outcome.states["piano"] == {"done": 28, "network": 12}


def test_a_very_long_retry_after_ends_the_run(tmp_path):
    with Site({video(0): "429"}) as site:
        outcome = download(clips(1), [], tmp_path, settings(site, longest_wait_s=0.5))
    assert "left alone" in outcome.why_stopped


def test_retry_tries_only_the_causes_named(tmp_path):
    answer = {video(0): "404", video(1): "500", video(2): "403"}
    with Site(answer) as site:
        download(clips(4), [], tmp_path, settings(site))
        answer.clear()
        before = site.requests.copy()
        outcome = download(clips(4), [], tmp_path, settings(site))
        assert site.requests == before, "without --retry neither lost nor finished clips are requested again"
        outcome = download(clips(4), [], tmp_path, settings(site, retry=("network",)))
        assert outcome.states["piano"] == {"done": 2, "removed": 1, "throttled": 1}
        outcome = download(clips(4), [], tmp_path, settings(site, retry=tuple(Cause)))
    assert outcome.states["piano"] == {"done": 4}


def test_no_more_concurrent_calls_than_requested(tmp_path):
    with Site(latency_s=0.05) as site:
        download(clips(12), [], tmp_path, settings(site, jobs=6, per_host=2))
        # A connection that ffmpeg has closed may be seen busy for a moment longer.
        assert site.busiest <= 3


# ---------------------------------------------------------------- killed, full, moved


def test_a_second_download_into_one_folder_exits_with_an_error(tmp_path):
    with Site() as site, only_writer(tmp_path), pytest.raises(WhoplaysError, match="another"):
        download(clips(1), [], tmp_path, settings(site))


def test_a_file_whose_row_was_lost_in_a_crash_is_measured_and_kept(tmp_path):
    with Site() as site:
        download(clips(3), [], tmp_path, settings(site))
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as db:
            db.execute("update clips set state = 'waiting', file = null where video_id <> ?", (video(0),))
        (tmp_path / "piano" / f"{video(2)}_8000.flac").write_bytes(b"half a file")
        (tmp_path / "piano" / f".{video(1)}_8000.flac.abcd1234.part").write_bytes(b"half a file")
        before = site.requests.copy()
        outcome = download(clips(3), [], tmp_path, settings(site))
        requested = site.requests - before
    assert outcome.missing == 0 and outcome.adopted == 1
    assert {path[-11:] for path in requested} == {video(2)}
    assert verify(tmp_path) == (3, []) and not [name for name in files(tmp_path) if name.endswith(".part")]


@pytest.mark.parametrize("harm", ["delete", "shorten"])
def test_a_file_that_went_missing_is_fetched_again(tmp_path, harm):
    with Site() as site:
        download(clips(2), [], tmp_path, settings(site))
        path = tmp_path / "piano" / f"{video(1)}_8000.flac"
        path.unlink() if harm == "delete" else path.write_bytes(path.read_bytes()[:5000])
        assert download(clips(2), [], tmp_path, settings(site)).fetched == 1
    assert verify(tmp_path) == (2, [])


def test_a_full_disk_ends_the_run_and_the_next_goes_on(tmp_path, monkeypatch):
    written = itertools.count()

    def full(path, content):
        if next(written) >= 2:
            raise WhoplaysError(f"{path}: cannot be written (No space left on device)")
        real(path, content)

    real = fetch_module.write_atomically
    with Site() as site:
        monkeypatch.setattr(fetch_module, "write_atomically", full)
        outcome = download(clips(8), [], tmp_path, settings(site, jobs=2))
        assert "No space left" in outcome.why_stopped and outcome.out_of_space
        # The second file may have been written while the third failed: then the next run finds and keeps it.
        assert 1 <= outcome.states["piano"]["done"] <= 2 and sum(outcome.states["piano"].values()) == 8
        monkeypatch.undo()
        assert download(clips(8), [], tmp_path, settings(site)).missing == 0


def test_a_clock_that_jumps_changes_nothing(tmp_path, monkeypatch):
    draw = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: draw.choice([0.0, 1e9, 4e9]))
    with Site({video(0): "429 once"}) as site:
        assert download(clips(4), [], tmp_path, settings(site, attempts=3)).missing == 0


def test_a_folder_is_gone_on_with_as_it_was_begun(tmp_path):
    with Site() as site:
        download(clips(1), [], tmp_path, settings(site))
        with pytest.raises(UsageError, match="--rate 16000"):
            download(clips(1), [], tmp_path, settings(site, rate=44100))


def test_another_plan_into_the_same_folder_adds_to_it(tmp_path):
    with Site() as site:
        download(clips(2), [], tmp_path, settings(site))
        outcome = download(clips(2, "guitar", first=50), [], tmp_path, settings(site))
    assert outcome.states == {"guitar": {"done": 2}}
    assert verify(tmp_path) == (4, [])
    with (tmp_path / "manifest.csv").open(newline="") as file:
        rows = {(row["family"], row["piano"], row["guitar"]) for row in csv.DictReader(file)}
    assert rows == {("piano", "1", ""), ("guitar", "", "1")}, "a plan for pianos by hand says nothing of guitars"


def test_plans_one_after_the_other_can_be_used_together(tmp_path):
    def labelled(number, family, **more):
        return dataclasses.replace(clip(number, family, **more), labels=("/m/0342h",))

    with Site() as site:
        download([labelled(0, "piano"), labelled(1, "piano", unsure=("guitar",))], [], tmp_path, settings(site))
        download([labelled(2, "guitar")], [], tmp_path, settings(site))
    with (tmp_path / "manifest.csv").open(newline="") as file:
        rows = {row["recording"]: (row["guitar"], row["piano"]) for row in csv.DictReader(file)}
    assert rows == {video(0): ("0", "1"), video(1): ("", "1"), video(2): ("1", "0")}


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\x00" + b"\x00" * 200])
def test_a_damaged_ledger_is_reported_in_one_line(tmp_path, content):
    (tmp_path / "ledger.sqlite").write_bytes(content)
    with Site() as site, pytest.raises(DownloadError, match="ledger") as caught:
        download(clips(1), [], tmp_path, settings(site))
    assert "\n" not in str(caught.value)


FAULTS = ("404", "private", "403", "reset", "silence", "short", "bot", "noise bytes", "ends early")


def write_plan_file(path, planned):
    lines = [f"{one.video_id},{one.start_ms / 1000},{one.end_ms / 1000},{one.family}" for one in planned]
    path.write_text("\n".join(["video_id,start_s,end_s,family", *lines]) + "\n")


def command(plan, out, site, *more):
    words = [sys.executable, "-m", "whoplays", "audioset", "download", plan, "--out", out, "--source", site.template]
    words += ["--jobs", 8, "--rate", RATE, "--attempts", 2, "--timeout", 10, *more]
    return list(map(str, words))


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX systems")
@pytest.mark.slow
def test_killed_twice_with_faults_every_clip_is_there_once_or_lost_with_its_cause(tmp_path):
    count = 60
    draw = random.Random(4)
    rules = {video(n): FAULTS[n % len(FAULTS)] for n in draw.sample(range(count), count * 3 // 10)}
    causes = {name: EXPECTED[rule] for name, rule in rules.items()}
    plan, out = tmp_path / "plan.csv", tmp_path / "out"
    write_plan_file(plan, clips(count))
    with Site(rules, latency_s=0.08) as site:
        for least in (8, 25):
            running = subprocess.Popen(command(plan, out, site), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while len(list(out.glob("piano/*.flac"))) < least and running.poll() is None:
                time.sleep(0.005)
            time.sleep(draw.random() / 5)
            running.send_signal(signal.SIGKILL)
            assert running.wait() == -signal.SIGKILL, "it was to be killed while it worked"
        had = {
            path[-11:]: n for path, n in site.requests.items() if (out / "piano" / f"{path[-11:]}_8000.flac").exists()
        }
        last = subprocess.run(command(plan, out, site), capture_output=True, text=True)
        again = {path[-11:] for path, n in site.requests.items() if n > had.get(path[-11:], n)}
    assert last.returncode == 1, last.stderr
    assert not again, "what was there was not fetched again"
    assert {name: row["cause"] for name, row in rows(out).items() if row["state"] == "lost"} == causes
    there = {video(n) for n in range(count)} - set(rules)
    assert {path.name for path in (out / "piano").iterdir()} == {f"{name}_8000.flac" for name in there}
    assert set(files(out)) - {f"piano/{name}_8000.flac" for name in there} == {"ledger.sqlite", "manifest.csv"}
    assert verify(out) == (len(there), [])


@pytest.mark.skipif(os.name == "nt", reason="signals are of POSIX systems")
def test_a_terminated_download_ends_orderly_and_leaves_a_manifest(tmp_path):
    plan, out = tmp_path / "plan.csv", tmp_path / "out"
    write_plan_file(plan, clips(60))
    with Site(latency_s=0.1) as site:
        running = subprocess.Popen(command(plan, out, site), stderr=subprocess.PIPE, text=True)
        while len(list(out.glob("piano/*.flac"))) < 12 and running.poll() is None:  # some of them are booked by then
            time.sleep(0.01)
        running.terminate()
        _, err = running.communicate(timeout=COMMAND_S)
    assert running.returncode == 130 and "run the same command to continue" in err
    listed, differences = verify(out)
    assert 0 < listed < 60 and not [one for one in differences if "not in the manifest" not in one.what]


class Slow:
    """An executor whose clips are not there before its signal to stop; then, all of them, from a thread."""

    extra_s = 0.0

    def __init__(self):
        self.promises, self.over = [], False
        self.thread = threading.Thread(target=self._answer, daemon=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.thread.join(20)
        self.over = not self.thread.is_alive()

    def submit(self, clip):
        self.promises.append(Future())
        return self.promises[-1]

    def answered(self, refusal):
        pass

    def stop(self):
        self.thread.start()

    def _answer(self):
        for promise in self.promises:
            promise.set_exception(ClipUnavailable(Cause.NETWORK, "stopped"))


@pytest.mark.skipif(os.name == "nt", reason="signals are of POSIX systems")
def test_a_signal_where_futures_are_locked_leaves_none_of_them_locked(tmp_path):
    locking, raised = concurrent.futures._base._AcquireFutures.__enter__.__code__, []

    def trace(frame, event, argument):
        if frame.f_code is locking and event == "return" and not raised:
            raised.append(event)
            sys.settrace(None)
            signal.raise_signal(signal.SIGTERM)  # as if it came here
        return trace

    executor = Slow()
    with Site() as site:
        sys.settrace(trace)
        try:
            outcome = download(clips(4), [], tmp_path / "out", settings(site), executor=executor)
        finally:
            sys.settrace(None)
    assert raised and outcome.interrupted and executor.over and len(executor.promises) == 4
    assert (tmp_path / "out" / "manifest.csv").exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


# ---------------------------------------------------------------- safety


def test_nothing_is_ever_written_outside_the_folder(tmp_path):
    plan, out = tmp_path / "plan.csv", tmp_path / "a" / "out"
    hostile = [
        "../../../etc/passwd",
        "-rf",
        "..",
        "....//....//x",
        "$(touch x)",
        "`touch x`;",
        "a b c d e f",
        "aaaaaaaaaa/",
        "|touch xxxxx",
    ]
    lines = [f"{name},8,18,piano" for name in hostile] + [f"{video(0)},8,18,../evil", f"{video(0)},8,18,-rf"]
    lines += ["-rfabcdefgh,8,18,piano", "--help_____,8,18,piano"]
    plan.write_text("video_id,start_s,end_s,family\n" + "\n".join(lines) + "\n")
    with Site() as site:
        words = ["audioset", "download", plan, "--out", out, "--source", site.template, "--rate", RATE]
        done = invoke(*words)
        assert {path[-11:] for path in site.requests} == {"-rfabcdefgh", "--help_____"}
    assert done.status == 0, done.stderr
    assert "11 malformed rows left out" in done.stderr
    assert files(tmp_path) == [
        "a/out/ledger.sqlite",
        "a/out/manifest.csv",
        "a/out/piano/--help______8000.flac",
        "a/out/piano/-rfabcdefgh_8000.flac",
        "plan.csv",
    ]


@pytest.mark.parametrize(
    "template",
    [
        "file:///etc/{video_id}",
        "http://host/x",
        "{video_id}",
        "http://{video_id}/x",
        "http://h/{video_id}/{0}",
        "http://h/{video_id.__class__}",
        "http://h/{video_id",
        "ftp://h/{video_id}",
        "",
    ],
)
def test_a_template_that_cannot_be_meant_is_refused(template):
    with pytest.raises(UsageError, match="--source"):
        Template(template)


@pytest.mark.parametrize(
    "wrong",
    [
        {"jobs": 0},
        {"jobs": 1000},
        {"ending": "mp3"},
        {"rate": 100},
        {"channels": 3},
        {"retry": ("nonsense",)},
        {"attempts": 0},
        {"pace_s": -1.0},
        {"access": Access(proxy="socks5://127.0.0.1:9")},
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_happens(wrong):
    with pytest.raises(UsageError, match="--"):
        Settings(**wrong)


def test_a_playlist_cannot_lead_to_a_file_of_this_machine(tmp_path):
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, np.full(RATE * 20, 0.3), RATE)
    listing = f"#EXTM3U\n#EXT-X-TARGETDURATION:20\n#EXTINF:20,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    with Site({video(0): "playlist"}) as site:
        site.playlist = listing
        outcome = download(clips(1), [], tmp_path / "out", settings(site))
    assert outcome.fetched == 0 and not list((tmp_path / "out").rglob("*.flac"))


# ---------------------------------------------------------------- verify, the command, the data set


def test_verify_says_what_changed(tmp_path):
    with Site() as site:
        download(clips(4), [], tmp_path, settings(site))
    folder = tmp_path / "piano"
    names = [f"{video(n)}_8000.flac" for n in range(4)]
    (folder / names[0]).unlink()
    soundfile.write(folder / names[1], np.zeros(RATE), RATE)
    (folder / names[2]).write_bytes(b"not sound")
    shutil.copy(folder / names[3], folder / "abcdefghijk_0.flac")
    (folder / f".{names[3]}.abcd.part").write_bytes(b"")
    (folder / "my notes.txt").write_text("mine")
    listed, differences = verify(tmp_path)
    reasons = {Path(one.path).name: one.what for one in differences}
    assert listed == 4
    assert reasons[names[0]] == "is missing"
    assert "10.000 s" in reasons[names[1]] and "1.000 s" in reasons[names[1]]
    assert "cannot be decoded" in reasons[names[2]]
    assert reasons["abcdefghijk_0.flac"] == "is not in the manifest"
    assert "left over" in reasons[f".{names[3]}.abcd.part"]
    assert len(reasons) == 5
    done = invoke("audioset", "verify", tmp_path)
    *lines, same = done.stdout.splitlines()
    assert done.status == 1 and len(lines) == 5 and "equal checksums" in same  # the site gives one sound


def test_verify_reports_equal_checksums_of_different_videos(tmp_path):
    (tmp_path / "piano").mkdir()
    names = ("abcdefghijk_0.flac", "lmnopqrstuv_0.flac", "lmnopqrstuv_9000.flac", "wxyzwxyzwxy_0.flac")
    rows = []
    for name in names:
        content = b"other" if name.startswith("w") else b"same"
        (tmp_path / "piano" / name).write_bytes(content)
        rows.append(f"piano/{name},{name[:11]},{hashlib.sha256(content).hexdigest()},{len(content)}\n")
    (tmp_path / "manifest.csv").write_text("path,video_id,sha256,bytes\n" + "".join(rows))
    done = invoke("audioset", "verify", tmp_path)
    assert done.status == 0
    assert done.stdout.startswith("piano/abcdefghijk_0.flac, piano/lmnopqrstuv_0.flac: equal checksums")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("content", [None, "", "a,b\n1,2\n", "path,sha256,bytes\n../../etc/passwd,0,0\n"])
def test_verify_of_a_folder_without_a_usable_manifest(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.csv").write_text(content)
    done = invoke("audioset", "verify", tmp_path)
    assert done.status == 1


def test_a_dry_run_writes_nothing_and_sends_no_request(tmp_path):
    plan, out = tmp_path / "plan.csv", tmp_path / "out"
    write_plan_file(plan, clips(5))
    with Site() as site:
        words = ["audioset", "download", plan, "--out", out, "--source", site.template, "--dry-run"]
        done = invoke(*words)
        assert done.status == 0 and "nothing was fetched" in done.stderr and not site.requests
        assert files(tmp_path) == ["plan.csv"]
        download(clips(2), [], out, settings(site))
        before = {name: (out / name).read_bytes() for name in files(out)}
        assert dry_run(clips(5), [], out, settings(site)).states["piano"] == {"done": 2, "waiting": 3}
        assert {name: (out / name).read_bytes() for name in files(out)} == before


def test_the_command_reads_stand_ins_from_beside_the_plan(tmp_path):
    plan, out = tmp_path / "plan.csv", tmp_path / "out"
    write_plan_file(plan, clips(3))
    write_plan_file(tmp_path / "plan.reserve.csv", clips(3, first=10))
    with Site({video(1): "404"}) as site:
        words = ["audioset", "download", plan, "--out", out, "--source", site.template, "--rate", RATE, "--jobs", 4]
        done = invoke(*words)
    assert done.status == 0, done.stderr
    assert "removed" in done.stderr and len(list(out.glob("piano/*.flac"))) == 3


def test_a_data_set_reads_the_manifest_as_it_is(tmp_path):
    both = clip(7, "guitar", families=("guitar", "piano"))
    doubtful = clip(8, "guitar", unsure=("piano",))
    with Site() as site:
        download([*clips(2), both, doubtful], [], tmp_path, settings(site))
    labels, found, skipped = read_source(tmp_path / "manifest.csv", labels=("guitar", "piano"))
    assert [label.id for label in labels] == ["guitar", "piano"] and not skipped
    assert {one.recording: one.targets for one in found} == {
        video(0): (0, 1),
        video(1): (0, 1),
        video(7): (1, 1),
        video(8): (1, None),
    }
    assert all(one.start == 0.0 and one.duration is None for one in found)


# ---------------------------------------------------------------- parts


SAID = {
    "Private video. Sign in if you've been granted access to this video": Cause.PRIVATE,
    "Join this channel to get access to members-only content like this video": Cause.PRIVATE,
    "Video unavailable. This video has been removed by the uploader": Cause.REMOVED,
    "Video unavailable. This video is no longer available because the YouTube account associated with this video "
    "has been terminated.": Cause.REMOVED,
    "Video unavailable. This video contains content from SME, who has blocked it in your country on copyright "
    "grounds": Cause.COUNTRY,
    "The uploader has not made this video available in your country": Cause.COUNTRY,
    "Sign in to confirm your age. This video may be inappropriate for some users.": Cause.AGE,
    "Sign in to confirm you\u2019re not a bot. Use --cookies-from-browser or --cookies": Cause.BOT_CHECK,
    "Video unavailable. This content isn't available, try again later. The current session has been rate-limited by "
    "YouTube for up to an hour.": Cause.THROTTLED,
    "Requested format is not available. Use --list-formats": Cause.NO_AUDIO,
    "Sorry. This content is private": Cause.PRIVATE,
    "Unable to extract initial player response": None,
}


@pytest.mark.parametrize(("said", "cause"), SAID.items(), ids=lambda value: str(value)[:30])
def test_what_the_site_says_is_understood(said, cause):
    from yt_dlp.utils import DownloadError as YtDlpError
    from yt_dlp.utils import ExtractorError

    assert cause_of_words(said) == cause
    inner = ExtractorError(said, expected=True, video_id=video(0), ie="youtube")
    outer = YtDlpError(f"\x1b[0;31mERROR:\x1b[0m [youtube] {video(0)}: {said}", (ExtractorError, inner, None))
    lost = _lost(outer)
    assert lost.cause == (cause or Cause.OTHER)
    assert "ERROR" not in lost.detail and video(0) not in lost.detail


@given(st.integers(0, 10**9 - 1))
def test_retry_after_in_seconds(seconds):
    assert parse_retry_after(f" {seconds} ") == seconds


@given(st.text(max_size=40))
def test_no_retry_after_header_crashes_or_is_negative(text):
    found = parse_retry_after(text)
    assert found is None or found >= 0


def test_retry_after_as_a_date():
    assert parse_retry_after("Wed, 21 Oct 2099 07:28:00 GMT") > 1e9
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert parse_retry_after(None) is None


@given(st.integers(1, 30), st.floats(0, 1, exclude_max=True))
def test_backoff_grows_with_chance_and_has_an_end(attempt, chance):
    found = backoff_s(attempt, first_s=2.0, longest_s=300.0, draw=lambda: chance)
    plain = min(300.0, 2.0 * 2 ** (attempt - 1))
    assert 0.5 * plain <= found <= 1.5 * plain


def test_the_pause_between_calls_is_kept_across_threads():
    pacer = Pacer(per_host=8, pause_s=lambda host: 0.05)
    times = []
    begun = time.monotonic()

    def call():
        with pacer.visit("host"):
            times.append(time.monotonic())

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Its turn comes no sooner; a thread may well be late for it.
    assert all(at - begun >= 0.05 * turn for turn, at in enumerate(sorted(times)))


def test_many_refusals_slow_down_and_welcomes_speed_up_again():
    pacer = Pacer(per_host=1, pause_s=lambda host: 0.0)
    for refusal in (True, False, True, False, False, True):
        pacer.answered(refusal)
    assert pacer.extra_s == 0.0, "some clips are always refused"
    for _ in range(12):
        pacer.answered(True)
    assert 60 <= pacer.extra_s <= 120
    for _ in range(25):
        pacer.answered(False)
    assert pacer.extra_s == 0.0


def test_who_waits_is_let_go_when_the_download_ends():
    pacer = Pacer(per_host=1, pause_s=lambda host: 0.0)
    pacer.hold("host", 3600)
    threading.Timer(0.1, pacer.stop).start()
    begun = time.monotonic()
    with pytest.raises(Stopped), pacer.visit("host"):
        pass
    assert time.monotonic() - begun < COMMAND_S


def test_the_site_gets_slow_requests_by_default():
    site = "www.youtube.com"
    assert Settings().pause_s(site) == 12.0
    assert Settings(access=Access(cookies="x")).pause_s(site) == 2.0
    assert Settings(pace_s=3.0).pause_s(site) == 3.0
    assert Settings().pause_s("rr1---sn.googlevideo.com") == 0.0
    assert Settings(template=Template("http://mirror.example/{video_id}")).pause_s("mirror.example") == 0.5
    assert Settings(template=Template("http://127.0.0.1:9/{video_id}")).pause_s("127.0.0.1:9") == 0.0


def test_a_ledger_knows_its_clips_again(tmp_path):
    planned = clip("-rfabcdefgh", "piano", families=("piano", "strings"), unsure=("drums",), rank=3)
    ledger = Ledger(tmp_path)
    ledger.plan([planned], clips(2))
    ids = ledger.waiting("piano")
    assert [ledger.clip(one).video_id for one in ids] == ["-rfabcdefgh", video(0), video(1)], "wanted ones first"
    assert ledger.clip(ids[0]) == planned
    ledger.close()

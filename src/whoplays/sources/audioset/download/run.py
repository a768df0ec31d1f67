"""The download: who is fetched next, what becomes of each, when to stop. One thread decides, an executor fetches."""

from __future__ import annotations

import heapq
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from ....runtime.interrupts import LOOK_S, deferred_interrupts, terminated_as_interrupted
from ....storage.files import make_folder, only_writer
from .. import PlannedClip
from .causes import REFUSAL, TRY_AGAIN, Cause, ClipUnavailable
from .executor import Executor, Threads
from .fetch import DiskError, Fetched
from .ledger import NAME as LEDGER
from .ledger import Ledger
from .manifest import files, remove_parts, write_manifest
from .measure import check, measure_file
from .pacing import Stopped, backoff_s
from .settings import Settings
from .source import SITE, host_of

_MANIFEST_EVERY_S = 60.0


@dataclass
class Progress:
    """What a display needs. wanted, had: clips of all classes; fetched and lost, by cause: in this run."""

    wanted: int
    had: int
    fetched: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    resting: int = 0
    pause_s: float = 0.0
    began: float = field(default_factory=time.monotonic)


@dataclass
class Outcome:
    """How a run ended.

    states: class -> state or cause -> clips of the plan. why_stopped: advice, when it gave up. notes: what is to be said of
    clips that were fetched in this run -> how many.
    """

    wanted: dict[str, int]
    states: dict[str, Counter[str]] = field(default_factory=dict)
    fetched: int = 0
    seconds: float = 0.0
    adopted: int = 0
    why_stopped: str | None = None
    interrupted: bool = False
    out_of_space: bool = False
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def missing(self) -> int:
        """Clips that the plan asks for and are not there."""
        return sum(max(0, n - self.states.get(name, Counter())["done"]) for name, n in self.wanted.items())


def download(
    clips: Sequence[PlannedClip],
    stand_ins: Sequence[PlannedClip],
    folder: Path,
    settings: Settings,
    show: Callable[[Progress], None] = lambda progress: None,
    executor: Executor | None = None,
) -> Outcome:
    """Fetch the clips of a plan into `folder`; go on where an earlier run ended.

    executor: who fetches into the folder, by these settings; None for threads of this process. `show` is called with the
    progress several times a second. Raises `DownloadError` for a folder that cannot be used, and `WhoplaysError` when
    another download works there.
    """
    clips, stand_ins = split_plan(clips, stand_ins, settings.per_class)
    executor = executor or Threads(folder, settings)
    make_folder(folder)
    with only_writer(folder):
        remove_parts(folder)
        with closing(Ledger(folder)) as ledger:
            ledger.agree({"format": settings.ending, "rate": settings.rate, "channels": settings.channels})
            ledger.plan(clips, stand_ins)
            ledger.retry(settings.retry)
            outcome = Outcome(ledger.wanted(), adopted=reconcile(ledger, folder, settings.ending))
            _Run(ledger, folder, settings, executor, show, outcome).run()
            return outcome


class _Run:
    """One run over the waiting clips of a ledger."""

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        settings: Settings,
        executor: Executor,
        show: Callable[[Progress], None],
        outcome: Outcome,
    ) -> None:
        self.ledger, self.folder, self.settings, self.executor, self.show = ledger, folder, settings, executor, show
        self.outcome, self.wanted = outcome, outcome.wanted
        self.ended = False  # nothing is begun any more, and what is under way is being stopped
        self.source_name = "youtube" if settings.template.text == SITE else host_of(settings.template.text)
        self.had = {name: counts["done"] for name, counts in ledger.states().items()}
        self.queues = {name: deque(ledger.waiting(name)) for name in self.wanted}
        self.taken: Counter[str] = Counter()  # clips of a class that are being fetched, or rest before another try
        self.resting: list[tuple[float, int, int]] = []  # (when, tries so far, clip)
        self.busy: dict[Future[Fetched], tuple[int, PlannedClip, int]] = {}
        self.streak: list[tuple[int, ClipUnavailable]] = []  # refusals since the site last answered as it should
        self._check_interrupt: Callable[[], None] = lambda: None
        self.progress = Progress(sum(self.wanted.values()), self._counted())
        self._manifest_at = time.monotonic() + _MANIFEST_EVERY_S

    def _counted(self) -> int:
        return sum(min(n, self.had.get(name, 0)) for name, n in self.wanted.items())

    def run(self) -> None:
        """Fetch until every class has its clips, nothing is left to try, or there is no point in going on."""
        with terminated_as_interrupted():
            with self.executor:
                try:
                    with deferred_interrupts() as self._check_interrupt:
                        self._loop()
                except KeyboardInterrupt:
                    self.outcome.interrupted = True
                finally:
                    self.ended = True
                    self.executor.stop()
            self._book_ended()  # what was fetched while the others were being stopped
            remove_parts(self.folder)  # of workers that died under way
            if not self.outcome.out_of_space:
                self._write_manifest()
        self.outcome.states = self.ledger.states()
        self.outcome.fetched, self.outcome.seconds = self.progress.fetched, time.monotonic() - self.progress.began

    def _loop(self) -> None:
        while not self.outcome.why_stopped:
            while len(self.busy) < self.settings.jobs and (job := self._next()):
                clip_id, tries = job
                clip = self.ledger.clip(clip_id)
                self.busy[self.executor.submit(clip)] = (clip_id, clip, tries)
                self._check_interrupt()
            if not self.busy and not self.resting:
                return
            self._show()
            self._wait()
            self._check_interrupt()
            self._book_ended()
            if time.monotonic() >= self._manifest_at:
                self._write_manifest()

    def _book_ended(self) -> None:
        for future in [future for future in self.busy if future.done()]:
            self._finish(future, *self.busy.pop(future))

    def _wait(self) -> None:
        """Wait until something happens: a fetch ends, a rest is over, or the display is due."""
        pause = LOOK_S
        if self.resting and len(self.busy) < self.settings.jobs:
            pause = min(pause, max(0.0, self.resting[0][0] - time.monotonic()))
        if self.busy:
            wait(self.busy, timeout=pause, return_when=FIRST_COMPLETED)
        else:
            time.sleep(pause)

    def _next(self) -> tuple[int, int] | None:
        """Return the next clip to fetch and how often it was tried: a rested one first, then the neediest class's."""
        if self.resting and self.resting[0][0] <= time.monotonic():
            _, tries, clip_id = heapq.heappop(self.resting)
            return clip_id, tries
        open_classes = [
            name
            for name, queue in self.queues.items()
            if queue and self.had.get(name, 0) + self.taken[name] < self.wanted[name]
        ]
        if not open_classes:
            return None
        name = min(open_classes, key=lambda name: (self.had.get(name, 0) + self.taken[name]) / self.wanted[name])
        self.taken[name] += 1
        return self.queues[name].popleft(), 0

    def _finish(self, future: Future[Fetched], clip_id: int, clip: PlannedClip, tries: int) -> None:
        try:
            fetched = future.result()
        except ClipUnavailable as lost:
            self._failed(clip_id, clip, tries + 1, lost)
        except Stopped:
            self.taken[clip.family] -= 1
        except DiskError as error:
            self.taken[clip.family] -= 1
            self.outcome.out_of_space = True
            self.outcome.why_stopped = f"{error}; free some space and start again: it goes on where it was"
        else:
            self.ledger.done(clip_id, fetched.file, fetched.measured, self.source_name, fetched.note)
            self.outcome.notes.update([fetched.note] if fetched.note else [])
            self.taken[clip.family] -= 1
            self.had[clip.family] = self.had.get(clip.family, 0) + 1
            self.progress.fetched += 1
            self.streak.clear()
            if not self.ended:
                self.executor.answered(refusal=False)

    def _failed(self, clip_id: int, clip: PlannedClip, tries: int, lost: ClipUnavailable) -> None:
        if self.ended:
            self.taken[clip.family] -= 1
            return
        again = lost.cause in TRY_AGAIN and tries < self.settings.attempts
        self.ledger.failed(clip_id, lost, final=not again)
        if again:
            rest = max(backoff_s(tries, first_s=self.settings.backoff_s), lost.retry_after_s or 0.0)
            heapq.heappush(self.resting, (time.monotonic() + rest, tries, clip_id))
        else:
            self.taken[clip.family] -= 1
            self.progress.lost[lost.cause] += 1
        self._record_failure(clip_id, tries, lost)

    def _record_failure(self, clip_id: int, tries: int, lost: ClipUnavailable) -> None:
        """Slow down, or stop, when it is the site that refuses and not the clip that is bad."""
        self.executor.answered(refusal=lost.cause in (Cause.THROTTLED, Cause.BOT_CHECK))
        if lost.cause not in REFUSAL:
            self.streak.clear()
        elif tries == 1:
            # Only first tries are evidence: near the end of a plan all that is left may be clips that always fail.
            self.streak.append((clip_id, lost))
        if (wait_s := lost.retry_after_s or 0.0) > self.settings.longest_wait_s:
            self.outcome.why_stopped = f"the site asks to be left alone for {wait_s / 60:.0f} minutes: start again then"
        elif len(self.streak) >= self.settings.stop_after:
            self.outcome.why_stopped = _advice(self.streak)
        if self.outcome.why_stopped:
            # What was refused since the site last answered is not the clips' fault: they wait for the next run.
            self.ledger.wait_again(clip_id for clip_id, _ in self.streak)

    def _show(self) -> None:
        progress = self.progress
        progress.had = self._counted()
        progress.resting, progress.pause_s = len(self.resting), self.executor.extra_s
        self.show(progress)

    def _write_manifest(self) -> None:
        write_manifest(self.folder, self.ledger.rows("done"), self.ledger.classes())
        self._manifest_at = time.monotonic() + _MANIFEST_EVERY_S


def _advice(streak: Sequence[tuple[int, ClipUnavailable]]) -> str:
    """Return one line that says what the last refusals were, and what to do."""
    counts = Counter(lost.cause for _, lost in streak)
    cause = counts.most_common(1)[0][0]
    detail = next(lost.detail for _, lost in streak if lost.cause == cause)
    todo = {
        Cause.THROTTLED: "wait an hour or a day and start again with a longer --pace, or with --cookies of an account",
        Cause.BOT_CHECK: "wait a day and start again with --cookies FILE or --cookies-from-browser NAME",
        Cause.NETWORK: "see whether the network, the proxy and the site are there, and start again",
        Cause.OTHER: "update yt-dlp (pip install -U yt-dlp) and start again",
    }[cause]
    seen = f"{len(streak)} clips in a row were refused ({cause}: {detail[:120]})"
    return f"stopped: {seen}; none of them is given up; {todo}"


def dry_run(
    clips: Sequence[PlannedClip], stand_ins: Sequence[PlannedClip], folder: Path, settings: Settings
) -> Outcome:
    """Return what a run would begin with, as an outcome in which nothing happened. Nothing is written or requested."""
    clips, stand_ins = split_plan(clips, stand_ins, settings.per_class)
    known: dict[tuple[str, int], str] = {}
    if (folder / LEDGER).exists():
        with closing(Ledger(folder, writable=False)) as ledger:
            for row in chain(ledger.rows("done"), ledger.rows("lost")):
                known[row["video_id"], row["start_ms"]] = row["cause"] if row["state"] == "lost" else row["state"]
    states: dict[str, Counter[str]] = {}
    for clip in [*clips, *stand_ins]:
        state = known.get((clip.video_id, clip.start_ms), "waiting")
        states.setdefault(clip.family, Counter())["waiting" if state in settings.retry else state] += 1
    return Outcome(dict(Counter(clip.family for clip in clips)), states)


def split_plan(
    clips: Sequence[PlannedClip], stand_ins: Sequence[PlannedClip], per_class: int | None
) -> tuple[list[PlannedClip], list[PlannedClip]]:
    """Return the wanted clips and the stand-ins, with at most `per_class` wanted of each class."""
    if per_class is None:
        return list(clips), list(stand_ins)
    seen: Counter[str] = Counter()
    wanted: list[PlannedClip] = []
    others: list[PlannedClip] = []
    for clip in clips:
        seen[clip.family] += 1
        (wanted if seen[clip.family] <= per_class else others).append(clip)
    return wanted, others + list(stand_ins)


def reconcile(ledger: Ledger, folder: Path, ending: str) -> int:
    """Make the ledger and the folder agree: a crash may have come between a file's last name and its row.

    Files without a row are measured, and taken in when they are right; rows whose file is gone wait again. Returns how
    many files were taken in.
    """
    there = {name: (folder / name).stat().st_size for name in files(folder)}
    gone = [row["id"] for row in ledger.rows("done") if there.pop(row["file"], None) != row["bytes"]]
    ledger.wait_again(gone)
    adopted = 0
    for row in list(ledger.rows("waiting")) if there else ():
        clip = ledger.clip(row["id"])
        file = clip.file(ending)
        if file in there:
            try:
                found = measure_file(folder / file)
                check(found, (clip.end_ms - clip.start_ms) / 1000)
            except ClipUnavailable:
                continue  # fetched again, and replaced
            ledger.done(row["id"], file, found, "found in the folder")
            adopted += 1
    return adopted

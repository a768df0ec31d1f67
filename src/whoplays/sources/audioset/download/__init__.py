"""Plan -> audio files, with a ledger of what became of every clip.

from whoplays.sources.audioset import read_plan
from whoplays.sources.audioset.download import Settings, download, verify

clips, malformed = read_plan(Path("plan.csv"))
outcome = download(clips, [], Path("clips"), Settings())
listed, differences = verify(Path("clips"))
"""

from __future__ import annotations

from .causes import MAY_RECOVER, MEANING, Cause, ClipUnavailable
from .manifest import Difference, copies, verify
from .run import Outcome, Progress, download, dry_run, may_recover
from .settings import Settings
from .source import Access, Template, read_cookies

__all__ = [
    "MAY_RECOVER",
    "MEANING",
    "Access",
    "Cause",
    "Difference",
    "ClipUnavailable",
    "Outcome",
    "Progress",
    "Settings",
    "Template",
    "copies",
    "download",
    "dry_run",
    "may_recover",
    "read_cookies",
    "verify",
]

"""Plan -> audio files, with a ledger of what became of every clip.

from whoplays.sources.audioset import read_plan
from whoplays.sources.audioset.download import Settings, download, verify

clips, malformed = read_plan(Path("plan.csv"))
outcome = download(clips, [], Path("clips"), Settings())
listed, differences = verify(Path("clips"))
"""

from __future__ import annotations

from .causes import MAY_RECOVER, Cause
from .manifest import copies, verify
from .run import Progress, download, dry_run
from .settings import Settings
from .source import Access, Template, read_cookies

__all__ = [
    "MAY_RECOVER",
    "Access",
    "Cause",
    "Progress",
    "Settings",
    "Template",
    "copies",
    "download",
    "dry_run",
    "read_cookies",
    "verify",
]

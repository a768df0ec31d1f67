"""The README as a package index shows it: its links lead to the repository at the release's tag.

In the README links are relative, so that they work in a checkout. A package index has no files beside it. The address of the
repository is `WHOPLAYS_REPOSITORY`, or that which GitHub's workflows set; without one, links become text and pictures go.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)\[((?:!\[[^\]]*\]\([^)]*\)|[^\]])*)\]\((?!https?:|#|mailto:)([^)\s]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Set what depends on where the repository is: `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set both."""
        root, where = Path(self.root), repository()
        version = re.search(r'__version__ = "(.+)"', (root / "src/whoplays/__init__.py").read_text(encoding="utf-8"))
        assert version
        text = (root / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": for_index(text, where, f"v{version[1]}")}
        names = {"Source": "", "Issues": "/issues", "Changelog": "/blob/HEAD/CHANGELOG.md"}
        metadata["urls"] = {name: where + path for name, path in names.items()} if where else {}


def repository() -> str:
    """Return the repository's address, or an empty text where it is not known."""
    github = f"{os.environ.get('GITHUB_SERVER_URL', '')}/{os.environ.get('GITHUB_REPOSITORY', '')}"
    return os.environ.get("WHOPLAYS_REPOSITORY", github).strip("/")


def for_index(text: str, where: str, tag: str) -> str:
    """Return the README with links that need no checkout: absolute ones, or none."""

    def led(match: re.Match[str]) -> str:
        picture, words, path = match.groups()
        inner = _LINK.sub(led, words)
        if where:
            return f"{picture}[{inner}]({where}/{'raw' if picture else 'blob'}/{tag}/{path})"
        return "" if picture else inner

    return _LINK.sub(led, text)

"""The version, which `src/whoplays/__init__.py` alone decides, in the other files that name it.

python scripts/version.py             writes it into CITATION.cff, the recipe for conda, web/package.json and its lock
python scripts/version.py --check     exit status 1 where they, or the newest heading of the changelog, name another
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: file -> where it names the version
PLACES = {
    "contrib/conda/recipe.yaml": r'(?m)^  version: "([^"]+)"$',
    "CITATION.cff": r"(?m)^version: *(\S+)$",
    "web/package.json": r'(?m)^  "version": "([^"]+)"',
    "web/package-lock.json": r'\A\{\s*"name": "whoplays",\s*"version": "([^"]+)"',
    "web/package-lock.json (package)": r'"": \{\s*"name": "whoplays",\s*"version": "([^"]+)"',
}


def version() -> str:
    """Return the package's version."""
    found = re.search(r'(?m)^__version__ = "(.+)"$', (ROOT / "src/whoplays/__init__.py").read_text(encoding="utf-8"))
    if not found:
        raise SystemExit("src/whoplays/__init__.py names no version")
    return found[1]


def stale(root: Path, wanted: str) -> list[str]:
    """Return a line for each place that names another version."""
    found = []
    for place, pattern in PLACES.items():
        named = re.search(pattern, (root / place.split(" ")[0]).read_text(encoding="utf-8"))
        if not named or named[1] != wanted:
            found.append(f"{place}: {named[1] if named else 'no version'} instead of {wanted}")
    newest = re.search(r"(?m)^## (\S+) - \d{4}-\d\d-\d\d$", (root / "CHANGELOG.md").read_text(encoding="utf-8"))
    if not newest or newest[1] != wanted:
        found.append(
            f"CHANGELOG.md: its newest dated heading is {newest[1] if newest else 'missing'} instead of {wanted}"
        )
    return found


def write(root: Path, wanted: str) -> None:
    """Write the version into every place but the changelog, which a person writes."""
    for place, pattern in PLACES.items():
        file = root / place.split(" ")[0]
        text = file.read_text(encoding="utf-8")
        if named := re.search(pattern, text):
            file.write_text(text[: named.start(1)] + wanted + text[named.end(1) :], encoding="utf-8")


def main() -> None:
    """Write, or check."""
    if "--check" not in sys.argv[1:]:
        write(ROOT, version())
    if lines := stale(ROOT, version()):
        raise SystemExit("\n".join(lines))
    print(version())


if __name__ == "__main__":
    main()

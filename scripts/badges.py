"""The badges of the README, docs/pictures/badges, made from what the package says of itself. No service draws or counts them.

python scripts/badges.py            writes them
python scripts/badges.py --check    exit status 1 when they are of another version
"""

from __future__ import annotations

import re
import sys
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures" / "badges"
LETTER = 6.6  # width of a letter of 11 px, about


def badges() -> dict[str, str]:
    """Return file name -> picture."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pythons = re.findall(r":: (3\.\d+)", "\n".join(project["classifiers"]))
    version = re.search(r'__version__ = "(.+)"', (ROOT / "src/whoplays/__init__.py").read_text(encoding="utf-8"))
    assert version
    model = (ROOT / "src/whoplays/pretrained/default/model.onnx").stat().st_size
    return {
        "version.svg": badge("version", version[1], "#1565c0"),
        "python.svg": badge("Python", f"{pythons[0]} to {pythons[-1]}", "#2e7d32"),
        "licence.svg": badge("licence", project["license"], "#2e7d32"),
        "model.svg": badge("model included", f"{model / 1e6:.1f} MB", "#6a1b9a"),
    }


def badge(left: str, right: str, colour: str) -> str:
    """Return a picture of two words beside each other."""
    first, second = (round(len(text) * LETTER) + 14 for text in (left, right))
    words = 'y="14" fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"'
    whole = first + second
    parts = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" ',
        f'aria-label="{escape(left)}: {escape(right)}">',
        f'<clipPath id="c"><rect width="{whole}" height="20" rx="3"/></clipPath><g clip-path="url(#c)">',
        f'<rect width="{first}" height="20" fill="#455a64"/>',
        f'<rect x="{first}" width="{second}" height="20" fill="{colour}"/></g>',
        f'<text x="{first / 2}" {words}>{escape(left)}</text>',
        f'<text x="{first + second / 2}" {words}>{escape(right)}</text></svg>',
    )
    return "".join(parts) + "\n"


def main() -> None:
    """Write, or check."""
    for name, picture in badges().items():
        if "--check" not in sys.argv[1:]:
            FOLDER.mkdir(parents=True, exist_ok=True)
            (FOLDER / name).write_text(picture, encoding="utf-8")
        elif (FOLDER / name).read_text(encoding="utf-8") != picture:
            raise SystemExit(f"docs/pictures/badges/{name} is of another version; run python scripts/badges.py")


if __name__ == "__main__":
    main()

"""The pictures of the README and of the start pages, docs/pictures/*.png, made from this version. Needs Chromium.

python scripts/pictures.py
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from whoplays.cli import demo
from whoplays.inference.recogniser import Recogniser
from whoplays.results.html import write as write_report
from whoplays.results.terminal import Look, strip

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
COLUMNS = 92
_COLOUR = re.compile(r"\x1b\[([\d;]*)m")


def main() -> None:
    """Make them."""
    browser = shutil.which("chromium") or sys.exit("Chromium is not installed")
    recogniser = Recogniser()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(demo.EXAMPLES / "band.ogg", folder)
        os.chdir(folder)  # pictures name no path of this machine
        band = recogniser.predict("band.ogg")
        report = Path(folder) / "report.html"
        write_report(report, [band], recogniser)
        PICTURES.mkdir(exist_ok=True)
        _shot(browser, report, PICTURES / "page.png", (1100, 1010))
        for name, lang in (("terminal", "en"), ("terminal-pl", "pl")):
            command = "$ whoplays predict band.ogg" + " --lang pl" * (lang == "pl")
            lines = [command, "band.ogg  0:18", *strip(band, recogniser.labels, Look(COLUMNS, True), lang)]
            terminal = Path(folder) / f"{name}.html"
            terminal.write_text(_terminal(lines), encoding="utf-8")
            _shot(browser, terminal, PICTURES / f"{name}.png", (820, 20 * len(lines) + 44))


def _shot(browser: str, page: Path, picture: Path, size: tuple[int, int]) -> None:
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
    flags += ["--force-device-scale-factor=2"]  # sharp on every screen
    where = [f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}", page.resolve().as_uri()]
    subprocess.run([browser, *flags, *where], check=True, capture_output=True, timeout=120)
    with Image.open(picture) as full:
        small = full.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(picture, optimize=True)


def _terminal(lines: list[str]) -> str:
    body = _COLOUR.sub(_span, html.escape("\n".join(lines)))
    style = "background:#16181d;color:#d8dbe2;margin:0;padding:20px;font:14px/20px 'DejaVu Sans Mono',monospace"
    return f'<!doctype html><meta charset="utf-8"><body style="{style}"><pre style="margin:0;font:inherit">{body}</pre>'


def _span(match: re.Match[str]) -> str:
    codes = [int(code or 0) for code in match[1].split(";")]
    if codes[:2] == [38, 5]:
        return f'<span style="color:{_of_256(codes[2])}">'
    return "</span>" if codes == [0] else '<span style="opacity:0.6">' if codes == [2] else "<span>"


def _of_256(code: int) -> str:
    if code >= 232:
        return f"rgb({8 + 10 * (code - 232)},{8 + 10 * (code - 232)},{8 + 10 * (code - 232)})"
    cube = [(code - 16) // step % 6 for step in (36, 6, 1)]
    return "rgb({},{},{})".format(*(55 + 40 * level if level else 0 for level in cube))


if __name__ == "__main__":
    main()

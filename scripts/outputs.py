"""What commands print in the README and the guides, made anew by the model that is in the package.

python scripts/outputs.py            writes the blocks behind `<!-- output ... -->`
python scripts/outputs.py --check    lists pages that differ, and fails

`<!-- output: predict band.ogg -->` is the command of the block below it. `(terminal)` shows what a terminal does, `(NAME)` the
paragraph that begins with NAME. Without a command, the block's lines that begin with "$ whoplays" are run, each followed by what
it prints. They run in a folder with the examples, also as Music/ and src/whoplays/examples/, and music.parquet and music.jsonl.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from whoplays.cli.demo import EXAMPLES
from whoplays.cli.main import run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COLUMNS = "80"
_BLOCK = re.compile(r"(<!-- output(?:: ([^\n(]+?))?(?: \((\S+)\))? -->\n+```\w*\n)(.*?)(```\n)", re.DOTALL)


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal, or not one."""

    def __init__(self, *, terminal: bool) -> None:
        """terminal: what it says."""
        super().__init__(io.BytesIO(), "utf-8")
        self._terminal = terminal

    def isatty(self) -> bool:
        """Return whether it stands for a terminal."""
        return self._terminal

    def text(self) -> str:
        """Return what was written."""
        self.flush()
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined, no-any-return]


def printed(command: str, *, terminal: bool = False, messages: bool = False) -> str:
    """Return what a command prints; messages: on standard error as well."""
    out, err = Terminal(terminal=terminal), Terminal(terminal=False)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        run(shlex.split(command))
    return out.text() + (err.text() if messages else "")


def block(match: re.Match[str]) -> str:
    """Return a marked block with what its command prints now."""
    head, command, how, body, end = match.groups()
    if command:
        text = printed(command, terminal=how == "terminal")
        if how not in (None, "terminal"):
            text = next(part for part in text.split("\n\n") if part.startswith(how)).strip() + "\n"
        return head + text + end
    lines = [line for line in body.splitlines() if line.startswith("$ whoplays ")]
    return head + "".join(f"{line}\n{printed(line[len('$ whoplays ') :], messages=True)}" for line in lines) + end


def main() -> None:
    """Write the blocks, or check them."""
    os.environ |= {"NO_COLOR": "1", "COLUMNS": COLUMNS, "WHOPLAYS_CONFIG": os.devnull}
    stale = []
    with tempfile.TemporaryDirectory() as folder:
        for place in (Path(folder), Path(folder, "Music"), Path(folder, "src/whoplays/examples")):
            place.mkdir(parents=True, exist_ok=True)
            for example in EXAMPLES.glob("*.ogg"):
                shutil.copy(example, place)
        os.chdir(folder)
        for table in ("music.parquet", "music.jsonl"):
            printed(f"predict Music -o {table}")
        for page in PAGES:
            text = page.read_text(encoding="utf-8")
            made = _BLOCK.sub(block, text)
            if made != text:
                stale.append(page.relative_to(ROOT).as_posix())
                if "--check" not in sys.argv:
                    page.write_text(made, encoding="utf-8")
    print("\n".join(stale) or "all blocks are as they are printed")
    sys.exit(1 if stale and "--check" in sys.argv else 0)


if __name__ == "__main__":
    main()

"""What a release's files must be: complete, small, licensed, and with nothing in them that is not the project's.

python scripts/check_dist.py WHEEL SDIST          exit status 1, and a line for each fault
python scripts/check_dist.py --message VERSION    prints the tag's message: the changelog's introduction and highlights
python scripts/check_dist.py --conda SDIST        prints the recipe for conda-forge, with the source archive's checksum
"""

from __future__ import annotations

import hashlib
import re
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAX_BYTES = {".whl": 12 << 20, ".gz": 24 << 20}
IN_WHEEL = (
    "whoplays/__init__.py",
    "whoplays/py.typed",
    "whoplays/pretrained/default/model.onnx",
    "whoplays/pretrained/default/card.md",
    "whoplays/examples/band.ogg",
    "whoplays/serve/page/index.html",
    "whoplays/serve/page/fonts/LICENSE.txt",
    "beetsplug/whoplays.py",
)
IN_SDIST = (
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "pyproject.toml",
    "hatch_build.py",
    "requirements-dev.lock",
    "tests/conftest.py",
    "docs/index.md",
)
_UNWANTED = re.compile(r"__pycache__|\.pyc$|\.part$|(^|/)(\.venv|node_modules|\.git|site|dist)/|~$|\.log$")
_PLACES = re.compile(rb"/(?:home|root|work|Users)/[a-z][\w.-]*/(?:src|whoplays|lib)")


def faults(wheel: Path, sdist: Path) -> list[str]:
    """Return a line for each thing that is wrong."""
    with zipfile.ZipFile(wheel) as file:
        packed = {name: file.read(name) for name in file.namelist()}
    with tarfile.open(sdist) as archive:
        top = f"{sdist.name.removesuffix('.tar.gz')}/"
        sources = {member.name.removeprefix(top) for member in archive if member.isfile()}
    info = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    found = [f"{wheel.name}: {name} is missing" for name in IN_WHEEL if name not in packed]
    found += [f"{sdist.name}: {name} is missing" for name in IN_SDIST if name not in sources]
    found += [f"{wheel.name}: {name} does not belong there" for name in packed if _UNWANTED.search(name)]
    found += [f"{sdist.name}: {name} does not belong there" for name in sources if _UNWANTED.search(name)]
    found += [
        f"{wheel.name}: {name} names a place of this machine" for name, data in packed.items() if _PLACES.search(data)
    ]
    for path in (wheel, sdist):
        if (size := path.stat().st_size) > MAX_BYTES[path.suffix]:
            found.append(f"{path.name}: {size / 1e6:.1f} MB; the limit is {MAX_BYTES[path.suffix] / 1e6:.0f} MB")
    if packed.get(f"{info}/licenses/LICENSE") != (ROOT / "LICENSE").read_bytes():
        found.append(f"{wheel.name}: its licence file is missing or another one")
    metadata = message_from_bytes(packed.get(f"{info}/METADATA", b""))
    if metadata["License-Expression"] != "Apache-2.0":
        found.append(f"{wheel.name}: its licence expression is {metadata['License-Expression']}")
    if relative := re.findall(r"\]\((?!https?:|#)([^)]+)\)", str(metadata.get_payload())):
        found.append(f"{wheel.name}: its description has links that need a checkout: {', '.join(relative[:3])}")
    return found


def tag_message(version: str, changelog: str) -> str:
    """Return the message of a version's tag."""
    found = re.search(rf"(?ms)^## {re.escape(version)} - [\d-]+\n(.*?)(?=^## |\Z)", changelog)
    if not found:
        raise SystemExit(f"CHANGELOG.md has no dated heading of {version}")
    before, _, after = found[1].partition("### Highlights")
    highlights = after.split("\n### ")[0].strip()
    if not highlights:
        raise SystemExit(f"CHANGELOG.md names no highlights of {version}")
    return f"whoplays {version}\n\n{before.strip()}\n\n{highlights}\n"


def conda_recipe(sdist: Path, template: str) -> str:
    """Return the recipe of the version that the source archive holds, with its checksum in place of zeros."""
    version = re.search(r'(?m)^  version: "(.+)"$', template)
    if not version or sdist.name != f"whoplays-{version[1]}.tar.gz":
        raise SystemExit(f"the recipe for conda is of version {version and version[1]}, not of {sdist.name}")
    filled, places = re.subn(r'"0{64}"', f'"{hashlib.sha256(sdist.read_bytes()).hexdigest()}"', template)
    if places != 1:
        raise SystemExit("the recipe for conda has no place for the checksum")
    return re.sub(r"\A(#.*\n)+", "", filled)


def main() -> None:
    """Check, or print the message."""
    if sys.argv[1] == "--conda":
        template = (ROOT / "contrib" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
        sys.stdout.write(conda_recipe(Path(sys.argv[2]), template))
        return
    if sys.argv[1] == "--message":
        sys.stdout.write(tag_message(sys.argv[2], (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
        return
    wheel, sdist = map(Path, sys.argv[1:3])
    if lines := faults(wheel, sdist):
        raise SystemExit("\n".join(lines))
    print(f"contents, sizes, licence and description of {wheel.name} and {sdist.name} are as they should be")


if __name__ == "__main__":
    main()

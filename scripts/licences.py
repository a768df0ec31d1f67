"""The licences of everything that an installation of whoplays can bring along.

python scripts/licences.py             writes docs/reference/licences.md from what is installed (all extras needed)
python scripts/licences.py --check     exit status 1 when an installed package has a licence that is unknown or not allowed

What a package says of itself counts: its licence expression, else its classifiers, else its licence field. Packages that
say nothing are in `LICENCES`, looked up by hand. GPL comes only with an extra that says so in `WITH_REASON`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "licences.md"
EXTRAS = (
    "",
    "train",
    "render",
    "audioset",
    "serve",
    "tables",
    "tags",
    "listen",
    "completion",
    "cluster",
    "quantise",
    "distil",
    "plot",
    "dataframe",
    "sklearn",
    "dev",
)

PERMISSIVE = frozenset(
    (
        *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0"),
        *("CC0-1.0", "HPND", "ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib"),
    )
)
#: changes to the package itself stay free; using it asks nothing of the user's own work
WEAK = frozenset(("LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-or-later", "MPL-2.0"))
#: package -> why its strong copyleft is bearable here
WITH_REASON = {
    "unidecode": "only with the extra `dev`, which tests the plugin in beets itself; beets brings it",
    "mutagen": "only with the extra `tags`, and only imported by `--write-tags`",
    "rfc3987": "only for developers: schemathesis brings it along with jsonschema's formats",
}
#: package -> licence, read in its source because its metadata does not tell
LICENCES = {
    "namex": "Apache-2.0",
    "matplotlib": "PSF-2.0",
    "python-dateutil": "Apache-2.0 AND BSD-3-Clause",
    "junit-xml": "MIT",
    "unidecode": "GPL-2.0-or-later",
}
#: foreign programs inside wheels, by package
INSIDE = {
    "av": "FFmpeg, LGPL-3.0-or-later; x264 and x265, GPL-2.0-or-later, beside it (whoplays decodes sound and calls neither)",
    "soundfile": "libsndfile, LGPL-2.1-or-later; LAME, mpg123, LGPL; Opus, FLAC, Vorbis, BSD-3-Clause",
    "soxr": "libsoxr, LGPL-2.1-or-later",
    "imageio-ffmpeg": "the ffmpeg program, GPL-3.0-or-later, run as a program of its own",
    "numpy": "OpenBLAS, BSD-3-Clause; libgfortran, GPL-3.0 with GCC's runtime exception",
    "playwright": "Node.js, MIT",
}
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
_FIELDS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "gnu gplv3+": "GPL-3.0-or-later",
    "isc license": "ISC",
    "mit license": "MIT",
}


@dataclass
class Found:
    """A package: its licence as an SPDX expression ("" when unknown), and the extras that bring it ("" is the base)."""

    name: str
    licence: str
    extras: set[str] = field(default_factory=set)


def licence_of(package: Distribution) -> str:
    """Return an SPDX expression, or "" when the package's metadata does not tell one that is known."""
    fields = package.metadata
    name = canonicalize_name(fields["Name"])
    if expression := fields.get("License-Expression"):
        return expression
    if name in LICENCES:
        return LICENCES[name]
    marks = [
        mark.rpartition(" :: ")[2] for mark in fields.get_all("Classifier") or [] if mark.startswith("License :: ")
    ]
    known = sorted({_CLASSIFIERS.get(mark, "") for mark in marks if mark != "OSI Approved"})
    if known and all(known):
        return " OR ".join(known)
    words = (fields.get("License") or "").strip()
    named = _FIELDS.get(words.lower(), words)
    return named if is_known(named) else ""


def parts(expression: str) -> list[str]:
    """Return the licences that an expression names: "A OR (B AND C WITH D)" -> A, B, "C WITH D"."""
    return [part for part in re.split(r" AND | OR |[()]", expression) if part.strip()]


def is_known(expression: str) -> bool:
    """Tell whether every licence of an expression is one that we have a word for."""
    strong = {part for part in parts(expression) if part.startswith(("GPL-", "AGPL-"))}
    return bool(expression) and set(parts(expression)) <= PERMISSIVE | WEAK | strong


def is_allowed(expression: str) -> bool:
    """Tell whether it may be brought along anywhere. Of a choice ("A OR B", no AND beside it) one such licence is enough."""
    allowed = [part in PERMISSIVE | WEAK for part in parts(expression)]
    return any(allowed) if " AND " not in expression else all(allowed)


def needed(extra: str) -> Iterator[Distribution]:
    """Yield the installed packages that whoplays with an extra needs, directly and on the way, each once."""
    waiting, seen = [("whoplays", extra)], set()
    while waiting:
        name, option = waiting.pop()
        if (canonicalize_name(name), option) in seen:
            continue
        seen.add((canonicalize_name(name), option))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # an extra that is not installed here, or of another system
        if canonicalize_name(name) != "whoplays":
            yield package
        for line in package.requires or []:
            one = Requirement(line)
            if one.marker is None or one.marker.evaluate({"extra": option}):
                waiting += [(one.name, ""), *((one.name, more) for more in one.extras)]


def extras() -> list[str]:
    """Return the names of all extras, after "" for the base install."""
    return ["", *(distribution("whoplays").metadata.get_all("Provides-Extra") or [])]


def installed() -> dict[str, Found]:
    """Return every package here that some extra brings, by name."""
    found: dict[str, Found] = {}
    for extra in extras():
        for package in needed(extra):
            name = canonicalize_name(package.metadata["Name"])
            found.setdefault(name, Found(name, licence_of(package))).extras.add(extra)
    return dict(sorted(found.items()))


def problems(found: dict[str, Found]) -> list[str]:
    """Return a line for each package whose licence is unknown, or not allowed where it comes in."""
    lines = []
    for one in found.values():
        if not one.licence or not is_known(one.licence):
            lines.append(
                f"{one.name}: its licence is not known ({one.licence or 'it states none'}); read it, then add it to LICENCES"
            )
        elif not is_allowed(one.licence) and one.name not in WITH_REASON:
            lines.append(f"{one.name}: {one.licence} is not allowed; do without it, or give the reason in WITH_REASON")
        elif not is_allowed(one.licence) and "" in one.extras:
            lines.append(f"{one.name}: {one.licence} may come with an extra, never with the base install")
    return lines


def page(found: dict[str, Found]) -> str:
    """Return docs/reference/licences.md."""
    lines = [
        "# Licences of what whoplays brings along",
        "",
        "For: builders and administrators who ship or install it.",
        "",
        "Made by `python scripts/licences.py`; `tests/test_package.py` fails when an installed package's licence is unknown or",
        "not allowed. Versions and hashes are in [requirements-dev.lock](../../requirements-dev.lock), who needs whom in",
        "[sbom.cdx.json](sbom.cdx.json) (CycloneDX). whoplays itself is Apache-2.0.",
        'Every package is brought by the extras that are named; "base" is the plain install, which is all that `predict` needs.',
        "",
        "| package | licence | comes with |",
        "|---|---|---|",
    ]
    for one in found.values():
        if bring := _origin(one.extras):
            lines.append(f"| {one.name} | {one.licence} | {bring} |")
    lines += ["", "## Copyleft, and why it is here", ""]
    lines += [f"- **{name}** ({found[name].licence}): {why}." for name, why in WITH_REASON.items() if name in found]
    lines += ["- LGPL and MPL ask nothing of those who use a package unchanged.", "", "## Programs inside wheels", ""]
    lines += [f"- **{name}**: {what}." for name, what in INSIDE.items() if name in found]
    return "\n".join(lines) + "\n"


def _origin(bring: set[str]) -> str:
    if "" in bring:
        return "base"
    named = [extra for extra in extras() if extra in bring]
    return ", ".join([extra for extra in named if extra != "dev"] or named)


def main() -> None:
    """Write the page, or check."""
    found = installed()
    if wrong := problems(found):
        sys.exit("\n".join(wrong))
    if "--check" in sys.argv:
        print(f"{len(found)} packages, every licence known and allowed")
    else:
        PAGE.write_text(page(found), encoding="utf-8")
        print(f"{PAGE.name}: {len(found)} packages")


if __name__ == "__main__":
    main()

"""Keep of an SBOM what an SBOM is for: packages, versions, licences, who needs whom.

    python scripts/sbom.py FROM TO

Left out: links to web pages, descriptions, and the facts about the tool and the environment that it was made in.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

KEPT = ("bom-ref", "type", "name", "version", "purl", "licenses")
TEXTS = 200  # characters of a licence's text, where it has no name; the package itself has the whole


def reduced(document: dict[str, Any]) -> dict[str, Any]:
    """Return a CycloneDX document with the facts in `KEPT` alone, in a fixed order."""
    root = document["metadata"]["component"]
    return {
        "$schema": document["$schema"],
        "bomFormat": document["bomFormat"],
        "specVersion": document["specVersion"],
        "version": 1,
        "metadata": {"component": {name: root[name] for name in ("bom-ref", "type", "name", "licenses")}},
        "components": sorted(map(_component, document["components"]), key=lambda one: one["name"].lower()),
        "dependencies": document["dependencies"],
    }


def _component(one: dict[str, Any]) -> dict[str, Any]:
    kept = {name: one[name] for name in KEPT if name in one}
    for licence in kept.get("licenses", []):
        licence_text = licence.get("license", {})
        licence_text.pop("url", None)
        licence_text.pop("properties", None)
        if len(licence_text.get("name", "")) > TEXTS:
            licence_text["name"] = licence_text["name"][:TEXTS]
        if "text" in licence_text:
            del licence_text["text"]
    return kept


if __name__ == "__main__":
    found = reduced(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

"""AudioSet's ontology: classes by id or name, and what lies below them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import DownloadError, UsageError
from ...storage.files import explained


@dataclass(frozen=True)
class Ontology:
    """names: id -> name; children: id -> ids right below it."""

    names: dict[str, str]
    children: dict[str, tuple[str, ...]]

    @classmethod
    def open(cls, path: Path) -> Ontology:
        """Read `ontology.json`. Raises `DownloadError` when it cannot be read or is something else."""
        try:
            with explained(path, "read", DownloadError):
                entries = json.loads(Path(path).read_text(encoding="utf-8-sig"))
            names = {str(entry["id"]): str(entry["name"]) for entry in entries}
            children = {str(entry["id"]): tuple(map(str, entry.get("child_ids", ()))) for entry in entries}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DownloadError(
                f"{path}: is not AudioSet's ontology.json (a list of objects with id, name, child_ids): {error}"
            ) from error
        if not names:
            raise DownloadError(f"{path}: holds no class; AudioSet's ontology.json is needed")
        return cls(names, children)

    def descendants(self, ids: Iterable[str]) -> frozenset[str]:
        """Return the ids and all that lie below them. Classes with two parents and cycles are no trouble."""
        found: set[str] = set()
        waiting = list(ids)
        while waiting:
            label = waiting.pop()
            if label not in found:
                found.add(label)
                waiting.extend(self.children.get(label, ()))
        return frozenset(found)

    def ancestors(self, ids: Iterable[str]) -> frozenset[str]:
        """Return all that lie above the ids, without the ids themselves."""
        parents: dict[str, tuple[str, ...]] = {}
        for parent, children in self.children.items():
            for child in children:
                parents[child] = (*parents.get(child, ()), parent)
        given = frozenset(ids)
        return Ontology(self.names, parents).descendants(given) - given

    def resolve(self, label: str) -> str:
        """Return the id of a label given by id, or by name in any case. Raises `UsageError` with close names."""
        text = label.strip()
        if text in self.names:
            return text
        by_name = {name.casefold(): key for key, name in self.names.items()}
        if text.casefold() in by_name:
            return by_name[text.casefold()]
        raise UsageError(f"AudioSet has no label {label!r}; {self._advice(text, by_name)}")

    def _advice(self, text: str, by_name: dict[str, str]) -> str:
        if text.startswith("/"):
            return "ids look like /m/0342h; ontology.json lists them"
        folded = text.casefold()
        close = [name for name in by_name if folded and folded in name][:5]
        close += [name for name in difflib.get_close_matches(folded, by_name, n=5, cutoff=0.5) if name not in close]
        if not close:
            return "no name is close to it; ontology.json lists them"
        return "did you mean " + ", ".join(repr(self.name(by_name[name])) for name in close[:5]) + "?"

    def name(self, label: str) -> str:
        """Return the name of an id, or the id where the ontology does not know it."""
        return self.names.get(label, label)

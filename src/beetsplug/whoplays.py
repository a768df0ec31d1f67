"""The beets plugin of whoplays: who plays in each recording of a library, as fields that beets can query.

    plugins: whoplays            # in beets' config.yaml
    $ beet whoplays artist:nina
    $ beet ls instruments:violin instrument_guitar:0.5..

`instruments` holds the labels that play, `instrument_LABEL` the score of each label, `instruments_seen` the model and the
file's time and size with which they were computed: what has not changed since is not computed again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from optparse import Values
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beets.dbcore import types
from beets.dbcore.query import SubstringQuery
from beets.exceptions import UserError
from beets.plugins import BeetsPlugin
from beets.ui import Subcommand, print_

from whoplays.errors import WhoplaysError

if TYPE_CHECKING:
    from beets.importer import ImportSession, ImportTask
    from beets.library import Item, Library

    from whoplays.inference.prediction import Prediction
    from whoplays.inference.recogniser import Recogniser

SEPARATOR = "; "
SEEN = "instruments_seen"


class LabelQuery(SubstringQuery):
    """Matches a whole label: instruments:bass is not a bassoon."""

    @classmethod
    def string_match(cls, pattern: str, value: str) -> bool:
        """Return whether the label is one of those that play."""
        return pattern.lower().replace(" ", "-").replace("_", "-") in value.split(SEPARATOR)


class Labels(types.String):
    """The labels that play, by score."""

    query = LabelQuery


def field_of(label: str) -> str:
    """Return the field that holds a label's score."""
    return f"instrument_{label.replace('-', '_').replace(' ', '_')}"


class WhoplaysPlugin(BeetsPlugin):
    """`beet whoplays`, and the same while recordings are imported (`auto: no` turns that off)."""

    def __init__(self) -> None:
        """Read the plugin's section of the configuration."""
        super().__init__("whoplays")
        self.config.add({"auto": True, "model": "", "threshold": {}, "jobs": 0, "force": False})
        if self.config["auto"].get(bool):
            self.import_stages = [self._imported]
            self.register_listener("import_task_files", self._files_placed)
        self._loaded: Recogniser | None = None
        self._current: set[bytes] = set()
        self.register_listener("write", self._before_write)
        self.register_listener("after_write", self._after_write)

    @property
    def item_types(self) -> dict[str, types.Type[Any, Any]]:
        """The types of the fields, so that scores can be compared as numbers."""
        from whoplays.taxonomy.catalogue import catalogue

        return {"instruments": Labels(), **{field_of(label): types.Float(2) for label in catalogue().ids}}

    def commands(self) -> list[Subcommand]:
        """Return `beet whoplays`."""
        command = Subcommand("whoplays", help="detect which instruments play")
        command.parser.add_option("-f", "--force", action="store_true", help="also recordings that are done")
        command.parser.add_option("-p", "--pretend", action="store_true", help="show what would be done")
        command.func = self._command
        return [command]

    def _command(self, library: Library, options: Values, words: list[str]) -> None:
        items = list(library.items(words))
        todo = list(self._todo(items, force=bool(options.force) or self.config["force"].get(bool)))
        if done := len(items) - len(todo):
            self._log.info("{} of {} recordings are done and unchanged", done, len(items))
        if options.pretend:
            for item in todo:
                print_(format(item))
            return
        failed = self._detect(todo, shown=True)
        if failed:
            raise UserError(f"{failed} of {len(todo)} recordings could not be used")

    def _imported(self, session: ImportSession, task: ImportTask) -> None:
        self._detect(list(self._todo(task.imported_items(), force=False)))

    def _files_placed(self, session: ImportSession, task: ImportTask, **_: Any) -> None:
        """Follow the files that the import has copied or moved since, and whose tags it has written."""
        for item in task.imported_items():
            if SEEN in item:
                item[SEEN] = self._mark(item)
                item.store(fields=[SEEN])

    @property
    def _recogniser(self) -> Recogniser:
        if self._loaded is None:
            from whoplays.inference.recogniser import Recogniser

            try:
                model, threshold = self.config["model"].as_str(), self.config["threshold"].get() or None
                self._loaded = Recogniser(Path(model).expanduser() if model else None, threshold=threshold)
            except WhoplaysError as error:
                raise UserError(f"whoplays: {error}") from None
        return self._loaded

    def _todo(self, items: Iterable[Item], *, force: bool) -> Iterator[Item]:
        return (item for item in items if force or item.get(SEEN) != self._mark(item))

    def _mark(self, item: Item) -> str:
        """Return what distinguishes this result from that of another model or another state of the file."""
        try:
            found = Path(os.fsdecode(item.path)).stat()
        except OSError:
            return "missing"  # tried again each time
        return f"{self._recogniser.fingerprint[:16]} {found.st_mtime_ns} {found.st_size}"

    def _before_write(self, item: Item, path: bytes, **_: Any) -> None:
        if SEEN in item and item[SEEN] == self._mark(item):
            self._current.add(item.path)

    def _after_write(self, item: Item, path: bytes, **_: Any) -> None:
        """Follow a file whose tags beets changed: its sound is what it was."""
        if item.path in self._current:
            self._current.discard(item.path)
            item[SEEN] = self._mark(item)
            if item.id:
                item.store(fields=[SEEN])

    def _detect(self, items: list[Item], *, shown: bool = False) -> int:
        """Compute and store the fields of each item as soon as they are there; return how many could not be used."""
        from whoplays.inference.batch import predict_files
        from whoplays.inference.prediction import Failure

        names = [os.fsdecode(item.path) for item in items]
        failed = 0
        results = predict_files(self._recogniser, names, jobs=self.config["jobs"].get(int)) if names else iter(())
        for item, result in zip(items, results, strict=True):
            if isinstance(result, Failure):
                failed += 1
                self._log.warning("{}: {}", result.path, result.error)
                continue
            self._store(item, result)
            if shown:
                print_(f"{format(item)}: {item['instruments'] or 'none'}")
        return failed

    def _store(self, item: Item, prediction: Prediction) -> None:
        by_score = sorted(prediction.playing, key=lambda label: -prediction.scores[label])
        known = {field_of(label): score for label, score in prediction.scores.items()}
        for field in [name for name in item.keys() if name.startswith("instrument_") and name not in known]:  # noqa: SIM118
            del item[field]  # of another model
        item.update({"instruments": SEPARATOR.join(by_score), SEEN: self._mark(item), **known})
        item.store()

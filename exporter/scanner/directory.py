"""Which models lie in a directory, with the size of each.

Part of the scanning process (scan.py).
"""

from __future__ import annotations

import os
import stat

from exporter.scanner import links, models
from exporter.scanner.sizes import NAMED, Item, Sizes


class Directory:
    """A directory's size and its models.

    sizes: of all that lies in it. models: each model's bytes, None where not all of it could be read.
    blobs: the digest of the weights of each of Ollama's models, with those models' names.
    skipped: links in a model's place that lead to none, and why.

    Raises:
        OSError: the directory itself can't be read.
    """

    def __init__(self, path: str) -> None:
        self.sizes = Sizes(path)
        self.models: dict[str, int | None] = {}
        self.blobs: dict[str, list[str]] = {}
        self.skipped: list[tuple[str, str]] = []
        self._add_models(self.sizes.root)

    def _add_models(self, directory: str, *, inside: bool = True, nested: bool = False) -> None:
        """Every model of a directory; a store of models that lies in it counts as if it were its own.

        inside: whether it lies in the directory that is scanned, and not behind a link that leads out.
        """
        items = [self._item(directory, *entry) for entry in self.sizes.entries(directory, inside=inside)]
        stores = {item.name for item in items if not nested and self._is_store(item)}
        ollama = models.is_ollama_store(directory)
        strict = bool(stores) or ollama or models.is_hub(directory)
        for item in items:
            if item.link:
                self.sizes.count(item.link, set(), inside=inside)
            if item.name in stores:
                if not item.link:
                    self.sizes.count(item.status, set(), inside=inside)
                self._add_models(item.path, inside=inside and not item.link, nested=True)
            elif ollama and item.name in models.OLLAMA_PARTS:
                self.sizes.measure(item, inside=inside, model=False)
            elif not strict and item.is_folder and models.is_publisher(item.path):
                self._add_publisher(item, inside=inside)
            else:
                name = self._model_name(item, strict=strict)
                size = self.sizes.measure(item, inside=inside, model=bool(name))
                if name:
                    self._add(name, size)
        if ollama:
            self._add_manifests(directory)

    def _add_publisher(self, publisher: Item, *, inside: bool) -> None:
        """A folder of folders, each a model."""
        inside = inside and not publisher.link
        if not publisher.link:
            self.sizes.count(publisher.status, set(), inside=inside)
        for entry in self.sizes.entries(publisher.path, inside=inside):
            item = self._item(publisher.path, *entry)
            if item.link:
                self.sizes.count(item.link, set(), inside=inside)
            model = item.is_folder and not item.name.startswith(".")
            size = self.sizes.measure(item, inside=inside, model=model)
            if model:
                self._add(f"{publisher.name}/{item.name}", size)

    def _item(self, folder: str, name: str, status: os.stat_result) -> Item:
        """An entry of a folder of models; of a link, what it leads to."""
        path = f"{folder}/{name}"
        if not stat.S_ISLNK(status.st_mode):
            return Item(name, path, status)
        if name.startswith("."):
            return Item(name, "", status, status)
        reason = ""
        try:
            path, target = links.resolve(path)
            reason = self.sizes.unfit(path, target, folder)
        except OSError as error:
            target = status
            if error.errno in links.DANGLING:
                reason = links.DANGLING[error.errno]
            else:
                self.sizes.add_error(path, error)
                return Item(name, "", status, status)
        if reason:
            if len(self.skipped) < NAMED:
                self.skipped.append((f"{folder}/{name}", reason))
            return Item(name, "", status, status)
        return Item(name, path, target, status)

    def _is_store(self, item: Item) -> bool:
        """Whether an entry is a store; a link to one in this same directory adds nothing."""
        if not item.is_folder or item.name.startswith(".") or models.is_repository(item.name):
            return False
        return not (item.link and links.lies_in(item.path, {self.sizes.root})) and models.is_store(item.path)

    def _model_name(self, item: Item, *, strict: bool) -> str | None:
        """The name of the model that an entry is; None where it is none.

        strict: it lies beside a store, whose program keeps other things there, too.
        """
        if not item.path or item.name.startswith("."):
            return None
        if item.is_folder:
            if models.is_repository(item.name):
                return models.repository_name(item.name)
            if item.link and links.lies_in(item.path, {self.sizes.root}) and models.is_store(item.path):
                return None
            return item.name if not strict or models.holds_weights(item.path) else None
        large = not strict and item.status.st_size >= models.LEAST
        return item.name if models.is_weights(item.name) or large else None

    def _add_manifests(self, store: str) -> None:
        for model, path in models.ollama_manifests(store).items():
            size = None
            try:
                blobs = models.ollama_blobs(store, path)
                size = sum(blobs.values())
                self._add_blob(max(blobs, key=lambda digest: blobs[digest]), model)
            except (OSError, ValueError) as error:
                self.sizes.add_error(path, error)
            self._add(model, size)

    def _add_blob(self, digest: str, model: str) -> None:
        """The largest blob holds the weights; it is what Ollama's command lines name."""
        if digest in self.blobs or len(self.blobs) < models.NAMED_BLOBS:
            self.blobs.setdefault(digest, []).append(model)

    def _add(self, model: str, size: int | None) -> None:
        """Two models of one name (in two stores) are one series with the size of both."""
        known = self.models.get(model, 0)
        self.models[model] = None if size is None or known is None else known + size

"""What one read of a server collects, whatever its kind; None is "the server does not report it"."""

from __future__ import annotations

from msgspec import Struct, field

from exporter.probe import Note

STATES = ("loaded", "loading", "sleeping", "unloading", "failed")
REASONS = (
    "refused", "timeout", "auth", "forbidden_host", "metrics_off", "bad_answer", "too_large", "other_kind",
)  # fmt: skip
MODELS_LIMIT = 64

Totals = tuple[float, float]  # a sum in seconds, and a count


class Model(Struct):
    """A model of a server. Sizes in bytes, times in Unix seconds, the totals since the server started."""

    state: str | None = None
    gpu: float | None = None
    host: float | None = None
    disk: float | None = None
    context: float | None = None
    expires: float | None = None
    pinned: bool | None = None
    running: float | None = None
    waiting: float | None = None
    finished: dict[str, float | None] = field(default_factory=dict)
    prompt_tokens: float | None = None
    cached_tokens: float | None = None
    generated_tokens: float | None = None
    prompt_seconds: float | None = None
    generate_seconds: float | None = None
    kv_usage: float | None = None
    kv_capacity: float | None = None
    first_token: Totals | None = None
    request: Totals | None = None
    queue: Totals | None = None


class Reading(Struct):
    """A server's state.

    up: whether it answered as its kind. ready: whether it takes requests. counts: of models, by where they
    are. complete: whether ``models`` are all that are loaded. by_port: the models by the ports of their
    processes, where it has one for each. errors: the reasons why something is missing.
    """

    up: bool = False
    ready: bool | None = None
    version: str = ""
    models: dict[str, Model] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    complete: bool = False
    by_port: dict[str, str] = field(default_factory=dict)
    errors: set[str] = field(default_factory=set)
    notes: list[Note] = field(default_factory=list)
    dropped: int = 0

    def model(self, name: object) -> Model | None:
        """The model of that name, a new one where there is none yet; None for no name, or one too many."""
        if not isinstance(name, str) or not name.strip():
            return None
        if name not in self.models:
            if len(self.models) >= MODELS_LIMIT:
                self.dropped += 1
                return None
            self.models[name] = Model()
        return self.models[name]

    def take(self, part: Reading) -> None:
        """Takes over the models of another reading."""
        self.models, self.dropped = part.models, part.dropped

    def warn(self, reason: str, text: str, hint: str = "") -> None:
        """Records why something is missing."""
        self.errors.add(reason)
        self.notes.append(Note(text, hint))


def without_path(name: str) -> str:
    """A model's name; where it is a path, its file's name without .gguf: a path is nobody's business."""
    if not name.startswith(("/", "./", "../", "~")):
        return name
    return name.rstrip("/").rpartition("/")[2].removesuffix(".gguf")


def count(value: object) -> float | None:
    """A number that can be a size or a count; None for everything else, ``true`` included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1 << 63 else None


def text(value: object) -> str:
    """A string, bounded; empty for everything else."""
    return value[:128] if isinstance(value, str) else ""


def objects(value: object) -> list[dict[str, object]]:
    """The objects of a list; none where it is null or no list."""
    return [it for it in value if isinstance(it, dict)] if isinstance(value, list) else []


def table(value: object) -> dict[str, object]:
    """An object; an empty one for everything else."""
    return value if isinstance(value, dict) else {}

"""What the bench found: tables for a person, and the same as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Value = float | str


@dataclass(frozen=True, slots=True)
class Target:
    """What a value must be: at least (``≥``) or at most (``≤``) the limit."""

    sign: Literal["≥", "≤"]
    limit: float

    def met(self, value: float) -> bool:
        """Whether the value is within the limit."""
        return value >= self.limit if self.sign == "≥" else value <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table. values: under the table's columns. The last ``judged`` of them have the target."""

    case: str
    values: Sequence[Value]
    target: Target | None = None
    judged: int = 1

    @property
    def met(self) -> bool:
        """Whether the target is met, where there is one; what is no number meets none."""
        target = self.target
        last = self.values[-self.judged :]
        return target is None or all(not isinstance(it, str) and target.met(it) for it in last)

    def cells(self) -> list[str]:
        """The line's text. A missed target stands out."""
        cells = [self.case, *(it if isinstance(it, str) else text(it) for it in self.values)]
        if self.target:
            cells[-1] += f" ({self.target.sign} {text(self.target.limit)})"
        if not self.met:
            cells[-1] = f"**{cells[-1]} missed**"
        return cells


@dataclass(slots=True)
class Table:
    """A part of the bench. setting: what was measured and how, in a few words. columns: with their units."""

    title: str
    setting: str
    columns: Sequence[str]
    rows: list[Row] = field(default_factory=list)

    def add(self, case: str, *values: Value, target: Target | None = None, judged: int = 1) -> None:
        """Adds a row."""
        self.rows.append(Row(case, values, target, judged))

    def missed(self) -> list[str]:
        """The rows that miss their target."""
        return [row.case for row in self.rows if not row.met]

    def markdown(self) -> str:
        """The table with its heading."""
        lines = [["", *self.columns], ["---", *["---:"] * len(self.columns)], *(r.cells() for r in self.rows)]
        body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"## {self.title}\n\n{self.setting}\n\n{body}\n"

    def document(self) -> dict[str, Any]:
        """The same for machines."""
        return asdict(self) | {"missed": self.missed()}


def from_document(document: dict[str, Any]) -> Table:
    """The table that a document was made of."""
    table = Table(document["title"], document["setting"], document["columns"])
    for row in document["rows"]:
        target = Target(**row["target"]) if row["target"] else None
        table.add(row["case"], *row["values"], target=target, judged=row["judged"])
    return table


def text(value: float) -> str:
    """A number with three digits that count, as a person writes it."""
    for size, digits in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= size:
            return f"{value:,.{digits}f}"
    return f"{value:.3f}" if value else "0"

"""The results of a benchmark, as rows of the JSON file and of the table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from rich.table import Table

from devtools.bench.pgbench import Round


class Figures(Protocol):
    """A result that the JSON file can hold."""

    def figures(self) -> dict[str, Any]:
        """The entry of the JSON file."""


@dataclass
class Row:
    """One benchmark at one number of clients: the repetitions of the floor and of the hub."""

    name: str
    clients: int
    floors: list[Round] = field(default_factory=list)
    ours: list[Round] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)
    """Further entries of the JSON file."""

    def add(self, floor: Round, ours: Round) -> None:
        """Add a repetition."""
        self.floors.append(floor)
        self.ours.append(ours)

    @property
    def ratios(self) -> list[float]:
        """The ratio of each repetition: its two sides meet the same load of the machine."""
        return [b.tps / a.tps for a, b in zip(self.floors, self.ours, strict=True)]

    def figures(self) -> dict[str, Any]:
        """The entry of the JSON file."""
        return {
            "name": self.name,
            "clients": self.clients,
            "floor": round(median(r.tps for r in self.floors), 1),
            "ours": round(median(r.tps for r in self.ours), 1),
            "ratio": round(median(self.ratios), 3),
            "ratios": [round(ratio, 3) for ratio in self.ratios],
            "floor_p50_ms": round(median(r.p50_ms for r in self.floors), 3),
            "floor_p95_ms": round(median(r.p95_ms for r in self.floors), 3),
            "p50_ms": round(median(r.p50_ms for r in self.ours), 3),
            "p95_ms": round(median(r.p95_ms for r in self.ours), 3),
        } | self.more


def write(rows: Sequence[Figures], file: Path) -> None:
    """Write the rows as a JSON list."""
    file.write_text(json.dumps([row.figures() for row in rows], indent=2) + "\n")


def table(rows: Sequence[Row]) -> Table:
    """The rows as a table: transactions a second, ratios, latencies of the hub."""
    shown = Table(title="transactions a second; ratio = ours / floor, median of the repetitions")
    for name in ("bench", "clients", "floor", "ours", "ratio", "repetitions", "p50 ms", "p95 ms"):
        shown.add_column(name, justify="left" if name == "bench" else "right")
    for row in rows:
        f = row.figures()
        shown.add_row(
            row.name,
            str(row.clients),
            f"{f['floor']:,.0f}",
            f"{f['ours']:,.0f}",
            f"[bold]{f['ratio']:.2f}[/bold]",
            " ".join(f"{ratio:.2f}" for ratio in row.ratios),
            f"{f['p50_ms']:.2f}",
            f"{f['p95_ms']:.2f}",
        )
    return shown

"""The results as charts (SVG) for the documentation."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree.ElementTree import Element

import pygal
from pygal.style import CleanStyle

from devtools.bench.results import Figures

_WIDTH, _HEIGHT = 800, 360


def write(rows: Sequence[Figures], folder: Path) -> list[Path]:
    """Write a chart of each kind of result that was measured; returns the files."""
    figures = [row.figures() for row in rows]
    charts = {
        "bench-throughput.svg": _throughput([f for f in figures if f["name"] in _ORDERS]),
        "bench-processor-time.svg": _processor_time([f for f in figures if f["name"] == "processor_time"]),
        "bench-lists.svg": _lists([f for f in figures if f["name"] == "list"]),
        "bench-scale.svg": _scale([f for f in figures if f["name"] in {"list", "scale"}]),
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, chart in charts.items():
        if chart is not None:
            (folder / name).write_bytes(chart.render() + b"\n")
            written.append(folder / name)
    return written


_ORDERS = {"floor_c": "floor C", "submit_order": "hub", "submit_order_guarded": "hub with guard and JSON"}


def _throughput(figures: Sequence[dict[str, Any]]) -> pygal.Bar | None:
    if not figures:
        return None
    clients = sorted({f["clients"] for f in figures})
    chart = _bars("Orders of 5 lines a second, durable")
    chart.x_labels = [f"{number} client{'s' if number > 1 else ''}" for number in clients]
    chart.add("floor B", [_first(figures, clients=number)["floor"] for number in clients])
    for name, title in _ORDERS.items():
        found = [f for f in figures if f["name"] == name]
        if found:
            chart.add(title, [_first(found, clients=number)["ours"] for number in clients])
    return chart


def _processor_time(figures: Sequence[dict[str, Any]]) -> pygal.Bar | None:
    short = [f for f in figures if f["lines"] == 5]
    if not short:
        return None
    chart = _bars("Processor time of an order of 5 lines, µs")
    chart.x_labels = ["minimum"]
    for f in short:
        chart.add(f"{f['side']} {f['checkout']}".strip(), [f["min_us"]])
    return chart


def _lists(figures: Sequence[dict[str, Any]]) -> pygal.Bar | None:
    if not figures:
        return None
    callers = list(dict.fromkeys(f["caller"] for f in figures))
    chart = _bars("Slowest list of each caller, ms, logarithmic", logarithmic=True)
    chart.x_labels, chart.x_label_rotation = callers, 20
    for orders in dict.fromkeys(size for f in figures for size in f["at"]):
        slowest = [
            max(f["at"][orders]["ms"] for f in figures if f["caller"] == caller and orders in f["at"])
            for caller in callers
        ]
        chart.add(f"{int(orders):,} orders", slowest)
    return chart


def _scale(figures: Sequence[dict[str, Any]]) -> pygal.Line | None:
    """Each call's time by its time at the smallest size, so that a flat line is what costs the same."""
    scaled = [f for f in figures if f["name"] == "scale"]
    if not scaled:
        return None
    sizes = list(scaled[0]["at"])
    sums = {
        "submit_order": [f for f in scaled if f["kind"] == "submit_order"],
        "jobs of a minute": [f for f in scaled if f["kind"] == "job"],
        "hub check": [f for f in scaled if f["kind"] == "hub check" and f["what"] == "all invariants"],
    }
    lines = {
        name: [sum(f["at"][size]["processor_ms"] for f in found) for size in sizes]
        for name, found in sums.items()
    }
    listed = [f for f in figures if f["name"] == "list" and f["growth"]]
    if listed:
        lines["lists (median)"] = [median(f["at"][size]["min_ms"] for f in listed) for size in sizes]
    chart = _chart(pygal.Line, "Time by the time at the smallest size, logarithmic", logarithmic=True)
    chart.x_labels = [f"{int(size):,} orders" for size in sizes]
    for name, values in lines.items():
        if values[0]:
            chart.add(name, [value / values[0] for value in values])
    return chart


def _bars(title: str, *, logarithmic: bool = False) -> pygal.Bar:
    return _chart(pygal.Bar, title, logarithmic=logarithmic)


def _chart(kind: type[Any], title: str, *, logarithmic: bool) -> Any:
    chart = kind(
        title=title,
        logarithmic=logarithmic,
        width=_WIDTH,
        height=_HEIGHT,
        js=(),
        no_prefix=True,
        style=CleanStyle,
        legend_at_bottom=True,
        print_values=True,
        print_values_position="top",
        value_formatter=lambda value: f"{value:,.1f}" if value < 10 else f"{value:,.0f}",
        range=None,
        include_x_axis=True,
    )
    chart.add_xml_filter(_without_scripts)
    return chart


def _without_scripts(root: Element) -> Element:
    """Remove what makes a chart interactive: pages show it as an image."""
    for parent in list(root.iter()):
        for child in list(parent):
            if str(child.tag).endswith("script"):
                parent.remove(child)
    return root


def _first(figures: Sequence[dict[str, Any]], clients: int) -> dict[str, Any]:
    return next(f for f in figures if f["clients"] == clients)

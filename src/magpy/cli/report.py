"""Make one HTML page of what MAGPY_TRACE=DIR has written: graphs, guards, breaks, times.

The page needs nothing else: no network, no other file.
"""

from __future__ import annotations

import argparse
import html
import json
import sys
import webbrowser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_STYLE = """
body { font: 14px sans-serif; margin: 2em auto; max-width: 75em; color: #222 }
pre, code { font: 12px monospace } pre { background: #f6f6f6; padding: .5em }
pre, .graph { overflow: auto } table { border-collapse: collapse }
td, th { padding: .2em .8em; border-bottom: 1px solid #ddd; text-align: right }
td:first-child, th:first-child { text-align: left } summary { cursor: pointer }
"""
#: kind of event: colour, and row of the time line
_KINDS = {
    "run": ("#36c", "recorded"),
    "compile": ("#690", "compiled"),
    "recompile": ("#e80", "recorded again"),
    "dynamic": ("#a5c", "dynamic"),
    "break": ("#d33", "break"),
    "stopped": ("#000", "stays eager"),
    "compile_failed": ("#000", "stays eager"),
    "graph_raised": ("#000", "stays eager"),
}
_COUNTED = ("calls", "hits", "recordings", "graphs", "graph_breaks", "fallbacks")
_PARTS = ("ops", "inputs", "guards", "ambient", "effects")


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("directory", metavar="DIR", help="what MAGPY_TRACE was")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="the page; default: DIR/report.html"
    )
    parser.add_argument("--open", action="store_true", help="show it in a browser")


def run(args: argparse.Namespace) -> int:
    """Write the page.

    Returns:
        0, or 2 if there are no records.
    """
    files = sorted(Path(args.directory).glob("magpy-*.jsonl"))
    records = [record for file in files for record in _read(file)]
    if not records:
        print(
            f"magpy report: no records in {args.directory!r}; run the program with "
            f"MAGPY_TRACE={args.directory}",
            file=sys.stderr,
        )
        return 2
    output = Path(args.output or Path(args.directory) / "report.html")
    try:
        text = page(records).encode(errors="backslashreplace")  # names may be anything
        output.write_bytes(text)
    except OSError as error:
        print(f"magpy report: {error}", file=sys.stderr)
        return 2
    print(output)
    if args.open:
        webbrowser.open(output.resolve().as_uri())
    return 0


def _read(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a process; a line that was cut off is left out."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "kind" in record and "time" in record:
            yield record | {"name": str(record.get("name", "")), "process": file.stem}


def page(records: list[dict[str, Any]]) -> str:
    """Return the page as text."""
    names = dict.fromkeys(r["name"] for r in records if r["name"])
    body = [_commands(records), _table(records), _time_line(records)]
    for name in names:
        body.append(_object(name, [r for r in records if r["name"] == name]))
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>MagPy</title><style>{_STYLE}</style></head><body>"
        f"<h1>MagPy</h1>{''.join(body)}</body></html>\n"
    )


def _commands(records: list[dict[str, Any]]) -> str:
    starts = [r for r in records if r["kind"] == "start"]
    texts = [f"{r.get('pid')}: {' '.join(map(str, r.get('argv', [])))}" for r in starts]
    return f"<pre>{html.escape(chr(10).join(texts))}</pre>"


def _table(records: list[dict[str, Any]]) -> str:
    """Return what was counted, object by object."""
    rows = ["".join(f"<th>{html.escape(c)}</th>" for c in ("object", *_COUNTED))]
    for record in records:
        if record["kind"] == "end":
            stats = record.get("stats", {})
            cells = [record["name"], *(stats.get(key, 0) for key in _COUNTED)]
            rows.append("".join(f"<td>{html.escape(str(c))}</td>" for c in cells))
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _time_line(records: list[dict[str, Any]]) -> str:
    """Return all events over time: a row for each kind."""
    shown = [r for r in records if r["kind"] in _KINDS]
    if not shown:
        return ""
    begin = min(r["time"] for r in records)
    span = max(max(r["time"] for r in records) - begin, 1e-9)
    labels = list(dict.fromkeys(label for _, label in _KINDS.values()))
    height = 22 * len(labels) + 24
    parts = [f'<svg width="1000" height="{height}" style="font:11px monospace">']
    for row, label in enumerate(labels):
        parts.append(f'<text x="0" y="{22 * row + 15}">{html.escape(label)}</text>')
    for record in shown:
        colour, label = _KINDS[record["kind"]]
        seconds = float(record.get("seconds", 0.0))
        x = 120 + 860 * (record["time"] - begin - seconds) / span
        width = max(3.0, 860 * seconds / span)
        title = f"{record['name']}, {record['time'] - begin:.3f} s\n"
        title += str(record.get("text") or record.get("where") or label)
        parts.append(
            f'<rect x="{max(x, 120.0):.1f}" y="{22 * labels.index(label) + 4}"'
            f' width="{width:.1f}" height="14" fill="{colour}">'
            f"<title>{html.escape(title)}</title></rect>"
        )
    parts.append(f'<text x="120" y="{height - 6}">0 s</text>')
    parts.append(f'<text x="930" y="{height - 6}">{span:.1f} s</text></svg>')
    return f"<h2>Time line</h2>{''.join(parts)}"


def _object(name: str, records: list[dict[str, Any]]) -> str:
    hits: dict[tuple[str, int], int] = {}
    for record in records:
        if record["kind"] == "end":
            hits.update({(where, n): h for where, n, h in record.get("hits", [])})
    parts = [f"<h2>{html.escape(name)}</h2>"]
    for record in records:
        if record["kind"] == "run":
            parts.append(_run(record, hits))
        elif "text" in record:
            _, label = _KINDS.get(record["kind"], ("", record["kind"]))
            text = html.escape(str(record["text"]))
            parts.append(f"<p>{html.escape(label)}</p><pre>{text}</pre>")
    return "".join(parts)


def _run(record: Mapping[str, Any], hits: Mapping[tuple[str, int], int]) -> str:
    where, number = str(record.get("where", "")), int(record.get("id", 0))
    title = f"run {number}{where and f' from {where}'}: {len(record['ops'])} operations"
    if (where, number) in hits:
        title += f", {hits[where, number]} hits"
    lines = []
    for part in _PARTS:
        items = record.get(part, [])
        places = record.get(
            {"ops": "op_lines", "guards": "guard_lines"}.get(part, ""), []
        )
        places = [*places, *[""] * (len(items) - len(places))]
        if items:
            lines.append(f"{part} ({len(items)}):")
        for item, place in zip(items, places, strict=False):
            lines.append(f"  {item}{f'  # {place}' if place else ''}")
    drawn = str(record.get("svg", ""))  # made by magpy.picture, which escapes
    return (
        f"<details><summary><code>{html.escape(title)}</code></summary>"
        f'<div class="graph">{drawn}</div>'
        f"<pre>{html.escape(chr(10).join(lines))}</pre></details>"
    )

"""Reports of a run as files: JSON, JUnit for CI, and a page with plots that needs nothing else."""

from __future__ import annotations

import html
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

from rfsn_core.exam.metrics import METRICS, TIMES
from rfsn_core.exam.results import CaseResult, Point, RunHeader
from rfsn_core.exam.scores import Score, Summary

WORST = 5
"""Examples of faults for each metric."""
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}
td,th{padding:.15rem .7rem .15rem 0;text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}.failed{color:#b00020;font-weight:600}.passed{color:#146c2e}
.unsure{color:#8a5a00}details{margin:.2rem 0}summary{cursor:pointer}small{color:#666}svg{vertical-align:middle}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}small{color:#999}.failed{color:#ff7b8a}
.passed{color:#6fcf87}.unsure{color:#e0b050}}
"""


def faults(results: Sequence[CaseResult]) -> dict[tuple[str, str], list[tuple[CaseResult, Point]]]:
    """Return (suite, metric) → the judgements that something is not as it should be."""
    found: dict[tuple[str, str], list[tuple[CaseResult, Point]]] = defaultdict(list)
    for result in results:
        for point in result.points:
            if point.metric not in TIMES and not point.value:
                found[result.suite, point.metric].append((result, point))
    return found


def shown(score: Score, value: float) -> str:
    """Return a value of a score as text: a share in per cent, a time in milliseconds."""
    return f"{value:,.0f} ms" if score.metric in TIMES else f"{100 * value:.1f} %"


def weakest(summary: Summary, few: int = 3) -> list[tuple[str, Score]]:
    """Return (NPC, score) of the metrics in which an NPC is surely worse than all NPCs together, the worst first."""
    of_all: dict[str, tuple[float, int]] = {}
    for scores in summary.npcs.values():
        for metric, score in scores.items():
            total, count = of_all.get(metric, (0.0, 0))
            of_all[metric] = (total + score.value * score.count, count + score.count)
    worse = []
    for npc, scores in summary.npcs.items():
        for metric, score in scores.items():
            total, count = of_all[metric]
            if metric not in TIMES and count > score.count and score.high < total / count:
                worse.append((total / count - score.value, npc, score))
    worse.sort(key=lambda item: -item[0])
    return [(npc, score) for _, npc, score in worse[:few]]


def write_reports(folder: Path, header: RunHeader, summary: Summary, results: Sequence[CaseResult]) -> list[Path]:
    """Write report.json, junit.xml and report.html; return their paths."""
    paths = [folder / "report.json", folder / "junit.xml", folder / "report.html"]
    paths[0].write_text(json.dumps(as_json(header, summary, results), indent=2, ensure_ascii=False), "utf-8")
    paths[1].write_text(junit(summary, results), "utf-8")
    paths[2].write_text(page(header, summary, results), "utf-8")
    return paths


def as_json(header: RunHeader, summary: Summary, results: Sequence[CaseResult]) -> dict[str, object]:
    """Return the whole report as plain values."""
    return {
        "run": {name: getattr(header, name) for name in header.__struct_fields__},
        "pass_rate": summary.pass_rate,
        "passed": not summary.failed,
        "suites": {suite: [asdict(score) for score in scores] for suite, scores in summary.suites.items()},
        "npcs": {npc: {m: asdict(score) for m, score in scores.items()} for npc, scores in summary.npcs.items()},
        "faults": [
            {"case": result.id, "metric": point.metric, "turn": point.turn, "why": point.why}
            for group in faults(results).values()
            for result, point in group
        ],
    }


def junit(summary: Summary, results: Sequence[CaseResult]) -> str:
    """Return JUnit XML: a test case for each bar, whose failure lists the worst cases."""
    found = faults(results)
    root = ElementTree.Element("testsuites", name="rfsn exam")
    for suite, scores in summary.suites.items():
        barred = [score for score in scores if score.bar]
        failed = sum(score.verdict == "failed" for score in barred)
        element = ElementTree.SubElement(root, "testsuite", name=suite, tests=str(len(barred)), failures=str(failed))
        for score in barred:
            case = ElementTree.SubElement(element, "testcase", classname=f"exam.{suite}", name=score.metric)
            if score.verdict == "failed":
                message = f"{shown(score, score.value)}, the bar is {score.bar}"
                failure = ElementTree.SubElement(case, "failure", message=message)
                lines = [f"{result.id}, turn {point.turn}: {point.why}" for result, point in found[suite, score.metric]]
                failure.text = _without_control("\n".join(lines[: 4 * WORST]))
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _without_control(text: str) -> str:
    """Return a text without the characters that XML forbids."""
    return "".join(character for character in text if character >= " " or character in "\n\t")


# ── the page ─────────────────────────────────────────────────────────────────────────────────────


def page(header: RunHeader, summary: Summary, results: Sequence[CaseResult]) -> str:
    """Return the report as one HTML page, plots included."""
    found = faults(results)
    title = f"Exam of {header.world}" + (f", {header.arm}" if header.arm else "")
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f"<p>{100 * summary.pass_rate:.0f} % of the bars reached. {len(results)} conversations,"
        f" {sum(len(result.turns) for result in results)} turns, worded by {html.escape(header.renderer)},"
        f" seed {header.seed}, rfsn {html.escape(header.version)}.</p>",
    ]
    for suite, scores in summary.suites.items():
        parts.append(f"<h2>{html.escape(suite)}</h2><table>")
        parts += [_score_row(score) for score in scores]
        parts.append("</table>")
        for score in scores:
            parts += _examples(score, found.get((suite, score.metric), []))
    parts.append("<h2>NPCs</h2>" + _npc_table(summary) + "<h2>Times</h2>" + _histogram(results))
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    return (
        f"<!doctype html><html lang=en><head>{head}<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _score_row(score: Score) -> str:
    interval = f"{shown(score, score.low)} … {shown(score, score.high)}"
    bar = f'<span class="{score.verdict}">{score.verdict}</span> <small>{score.bar}</small>' if score.bar else ""
    return (
        f'<tr><td title="{html.escape(METRICS.get(score.metric, ""))}">{score.metric}</td>'
        f"<td class=n>{shown(score, score.value)}</td><td>{_interval_plot(score)}</td>"
        f"<td><small>{interval}, n {score.count}</small></td><td>{bar}</td></tr>"
    )


def _interval_plot(score: Score) -> str:
    """Return a small picture of a share and its interval, from 0 to 100 %."""
    if score.metric in TIMES:
        return ""
    low, value, high = (200 * number for number in (score.low, score.value, score.high))
    return (
        '<svg width=204 height=12 role=img><rect x=0 y=5 width=204 height=2 fill="#8884"/>'
        f'<rect x={low:.1f} y=4 width={max(1.0, high - low):.1f} height=4 fill="#4a80c4"/>'
        f'<circle cx={value + 2:.1f} cy=6 r=3.5 fill="#1d4f91"/></svg>'
    )


def _examples(score: Score, found: list[tuple[CaseResult, Point]]) -> list[str]:
    if not found:
        return []
    rows = []
    for result, point in found[: 4 * WORST]:
        turn = result.turns[point.turn - 1] if 0 < point.turn <= len(result.turns) else None
        said = f"<br><small>{html.escape(turn.say)} → {html.escape(turn.words)}</small>" if turn else ""
        rows.append(f"<li>{html.escape(result.id)}, turn {point.turn}: {html.escape(point.why)}{said}</li>")
    return [f"<details><summary>{score.metric}: {len(found)} faults</summary><ul>{''.join(rows)}</ul></details>"]


def _npc_table(summary: Summary) -> str:
    metrics = sorted({metric for scores in summary.npcs.values() for metric in scores if metric not in TIMES})
    head = "".join(f"<th><small>{metric}</small></th>" for metric in metrics)
    weak = {(npc, score.metric) for npc, score in weakest(summary, few=1000)}
    rows = []
    for npc, scores in summary.npcs.items():
        cells = []
        for metric in metrics:
            value = f"{100 * scores[metric].value:.0f}" if metric in scores else ""
            kind = ' class="n failed"' if (npc, metric) in weak else " class=n"
            cells.append(f"<td{kind}>{value}</td>")
        rows.append(f"<tr><td>{html.escape(npc)}</td>{''.join(cells)}</tr>")
    return (
        f"<p>Per cent; in red where an NPC is surely worse than all together.</p><div style='overflow-x:auto'><table>"
        f"<tr><th></th>{head}</tr>{''.join(rows)}</table></div>"
    )


def _histogram(results: Sequence[CaseResult]) -> str:
    """Return the times until the first sentence as bars, each twice as wide a class as the one before."""
    times = [point.value for result in results for point in result.points if point.metric == "first_sentence_ms"]
    if not times:
        return "<p>No times.</p>"
    edges = [2.0**power for power in range(0, 16)]
    counts = [
        sum(low <= time < high for time in times) for low, high in zip([0.0, *edges], [*edges, 1e12], strict=True)
    ]
    last = max(index for index, count in enumerate(counts) if count)
    highest = max(counts)
    bars = []
    for index, count in enumerate(counts[: last + 1]):
        height = 100 * count / highest
        label = f"{edges[index]:g}" if index < len(edges) else "more"
        place = f"x={index * 44 + 20} y=126 font-size=11 text-anchor=middle fill=currentColor"
        bars.append(
            f'<rect x={index * 44} y={110 - height:.1f} width=40 height={height:.1f} fill="#4a80c4"><title>{count}'
            f"</title></rect><text {place}>&lt; {label}"
            "</text>"
        )
    return (
        "<p>Turns by milliseconds until the first sentence.</p>"
        f"<svg width={44 * (last + 1)} height=132 role=img>{''.join(bars)}</svg>"
    )

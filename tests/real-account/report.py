"""What was found, as a table for people and as one JSON file."""

import json
import re
import textwrap

from questions import spread

ACCOUNT = re.compile(r"(?<![0-9a-zA-Z-])\d{12}(?!\d)")


def barrier(runs):
    """The central question: may a stopped machine be started once every snapshot has begun?"""
    proper = [run for run in runs if run["variant"] == "barrier"]
    words = {}
    for run in proper:
        words[run["verdict"]] = words.get(run["verdict"], 0) + 1
    times = spread(run.get("barrierSeconds") for run in proper)
    text = ", ".join(f"{count} × {word}" for word, count in sorted(words.items())) or "no run"
    word = "no answer"
    if not proper:
        word = "not asked"
    elif any(verdict in ("LATER", "other") or verdict.startswith("image ") for verdict in words):
        word = "DOES NOT HOLD"
    elif "equal" in words:
        word = "holds" if set(words) == {"equal"} else "holds where it was read"
    elif set(words) == {"not read"}:
        word = "timed only"
    if times:
        text += f"; T_barrier {times['least']}–{times['most']} s, median {times['median']}, p90 {times['p90']}"
    more = {name: spread(run.get(key) for run in proper) for name, key in (
        ("T_barrier", "barrierSeconds"), ("T_image", "imageSeconds"), ("downtime", "downtimeSeconds"))}
    more["T_stop"] = spread(run.get("stop", {}).get("seconds") for run in proper)
    more["T_start"] = spread(run.get("start", {}).get("seconds") for run in proper)
    return {"answer": word, "text": text, "evidence": {"seconds": more}}


def runs_table(runs):
    head = ("run", "variant", "stop", "barrier", "start", "image", "verdict")
    rows = [head]
    for run in runs:
        times = (run.get("stop", {}).get("seconds"), run.get("barrierSeconds"),
                 run.get("start", {}).get("seconds"), run.get("imageSeconds"))
        shown = ("–" if value is None else f"{value:.1f}" for value in times)
        rows.append((str(run["number"]), run["variant"], *shown, run["verdict"]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def table(facts):
    lines = []
    if facts["simulated"]:
        lines += ["This was not AWS but --endpoint-url: nothing below says anything about EC2.", ""]
    if facts["runs"]:
        lines += [runs_table(facts["runs"]), ""]
    for row in facts["questions"]:
        lines.append(f"{row['question']}  [{row['id']}]")
        lines += textwrap.wrap(f"{row['answer']}: {row['text']}", 110, initial_indent="    ", subsequent_indent="    ")
    lines.append("")
    if facts.get("error"):
        lines.append(f"ended early: {facts['error']}")
    left = facts["cleanup"]["left"]
    lines.append(f"left behind: {', '.join(left)}" if left else "nothing is left behind")
    return "\n".join(lines)


def write(path, facts):
    """Without account ids: the file is made to be shown."""
    text = json.dumps(facts, indent=1, default=str)
    with open(path, "w", encoding="utf-8") as file:
        file.write(ACCOUNT.sub("<account>", text) + "\n")

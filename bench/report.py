"""Figures to Markdown."""

import statistics


def microseconds(values, digits=2):
    """The median, the least and the greatest."""
    least, most = f"{min(values):,.{digits}f}", f"{max(values):,.{digits}f}"
    return f"{statistics.median(values):,.{digits}f} ({least} to {most})"


def paired_ratio(ours, theirs):
    """The median of the ratios round by round: what disturbs the machine for
    longer than a round disturbs both."""
    return statistics.median(a / b for a, b in zip(ours, theirs))


def cpu_table(row, results):
    """`results`: contender -> {"cpu": µs per request of each round, "per_second": …}."""
    ours = results.get("Terrace")
    floor = results.get("floor")
    lines = [f"### {row.title}", ""]
    several = any(len(result["parts"][0]) > 1 for result in results.values())
    lines.append(f"| server | µs of CPU per request |{' of it |' if several else ''}"
                 " above the floor | Terrace is | requests per second |")
    lines.append("| --- | --- | --- | --- | --- |" + (" --- |" if several else ""))
    for name, result in results.items():
        above = "" if floor in (None, result) else f"{difference(result['cpu'], floor['cpu']):.2f}"
        ratio = "" if ours in (None, result) else f"{paired_ratio(ours['cpu'], result['cpu']):.2f}"
        rate = f"{statistics.median(result['per_second']):,.0f}"
        parts = f" {of_each(result['parts'])} |" if several else ""
        lines.append(f"| {name} | {microseconds(result['cpu'])} |{parts} {above} | {ratio} | {rate} |")
    return "\n".join(lines) + "\n"


def of_each(rounds):
    """The medians of servers in a row: "10.1 + 12.3"."""
    return " + ".join(f"{statistics.median(values):.2f}" for values in zip(*rounds))


def open_table(row, count, results):
    lines = [f"### {row.title}", ""]
    lines.append(f"| server | µs of CPU per request | with {count:,} more connections | which is |")
    lines.append("| --- | --- | --- | --- |")
    for name, result in results.items():
        alone, beside = result["alone"]["cpu"], result["beside"]["cpu"]
        ratio = f"{paired_ratio(beside, alone):.2f}"
        lines.append(f"| {name} | {microseconds(alone)} | {microseconds(beside)} | {ratio} |")
    return "\n".join(lines) + "\n"


def difference(values, floor):
    return statistics.median(a - b for a, b in zip(values, floor))


def latency_table(row, rate, results):
    lines = [f"### {row.title}, {rate:,.0f} requests per second", ""]
    lines.append("| server | p50 µs | p99 µs | p99.9 µs | waited for its core |")
    lines.append("| --- | --- | --- | --- | --- |")
    for name, rounds in results.items():
        cells = [f"{statistics.median(r['p50'] for r in rounds):,.0f}", microseconds([r["p99"] for r in rounds], 0)]
        cells.append(f"{statistics.median(r['p99.9'] for r in rounds):,.0f}")
        cells.append(f"{statistics.median(r['waited'] for r in rounds):.0%} of the time")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def memory_table(row, count, results):
    lines = [f"### {row.title}, {count:,} connections", ""]
    lines.append("| server | bytes of RSS per connection | bytes of PSS per connection |")
    lines.append("| --- | --- | --- |")
    for name, (rss, pss) in results.items():
        lines.append(f"| {name} | {rss:,.0f} | {pss:,.0f} |")
    return "\n".join(lines) + "\n"

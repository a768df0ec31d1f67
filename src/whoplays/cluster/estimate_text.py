"""An estimate in lines for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def text(found: dict[str, Any]) -> list[str]:
    """Return an estimate in lines for people."""
    sample, per_clip = found["sample"], found["sample"]["seconds_per_clip"]
    what = "clips built" if found["work"] == "build" else "recordings predicted"
    unused = f"; {sample['skipped']} more cannot be used" if sample["skipped"] else ""
    waiting = 1 - sample["computing_share"]
    lines = [
        f"{found['clips']:,} {what} by {found['nodes']} x {found['cores_per_node']} cores",
        f"    measured  {sample['recordings']} recordings, {per_clip['expected'] * 1e3:.1f} ms each "
        f"({per_clip['smallest'] * 1e3:.1f} to {per_clip['largest'] * 1e3:.1f}){unused}",
        f"  core-hours  {_spread(found['core_hours'], _plain)}",
        f"   wall time  {_spread(found['wall_hours'], _time)}",
        f"   recordings {found['recordings']:,}, {_bytes(found['audio_bytes'])}; "
        f"their storage must give {_bytes(found['read_bytes_per_s'])}/s",
        f"      output  {_bytes(found['output_bytes'])}, {found['rows']:,} rows"
        + (f", {found['pieces_of_work']:,} shards" if found["work"] == "build" else ""),
        f"object store  {found['object_store']['reads']:,} reads, {found['object_store']['writes']:,} writes, "
        f"{_bytes(found['object_store']['fetched_bytes'])} fetched, if that is where they lie",
        f"      driver  {_bytes(found['driver']['memory_bytes'])} of memory, {_time(found['driver']['hours'])} of the wall time",
    ]
    if money := found["money"]:
        lines.append(
            f"       money  {_spread(money['total'], _plain)}, then {_plain(money['storage_a_month'])} a month for storage"
        )
    assumed = found["assumptions"]
    lines.append(
        f"     assumes  a core among busy ones does {assumed['efficiency']:.0%} of one alone; nodes like this machine; "
        f"intervals 90 % by the sample, +-{assumed['doubt']:.0%} more"
    )
    if waiting > 0.3:
        lines.append(
            f"     remark   {waiting:.0%} of that time is waiting, for disk or network: more processes than cores may be faster"
        )
    if found["pieces_of_work"] < found["nodes"] * found["cores_per_node"]:
        lines.append(
            f"     remark   {found['pieces_of_work']:,} pieces of work cannot keep {found['nodes'] * found['cores_per_node']:,} "
            "cores busy: smaller shards, or fewer cores"
        )
    return lines


def _spread(value: dict[str, float], form: Callable[[float], str]) -> str:
    return f"{form(value['expected'])} ({form(value['low'])} to {form(value['high'])})"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{_plain(hours)} h"
    return f"{hours * 60:.3g} min" if hours * 60 >= 1 else f"{hours * 3600:.2g} s"


def _bytes(value: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e3:.3g} kB"

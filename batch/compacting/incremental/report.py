"""How the shards of a generation were computed: for the report, and for the next generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batch.compacting.incremental.forms import NO_BASE, Form
from batch.lake.generations import Generation
from batch.lake.incremental_record import Record


def as_dicts(forms: Mapping[int, Form]) -> list[dict[str, Any]]:
    """One for each shard; `scratch_bytes`, `incremental_bytes`: what was weighed, 0 if nothing."""
    return [
        {
            "shard": shard, "form": _name(form), "why": form.why, "rows_read": form.rows,
            "scratch_bytes": form.scratch_bytes, "incremental_bytes": form.incremental_bytes,
        }
        for shard, form in sorted(forms.items())
    ]  # fmt: skip


def words(forms: Mapping[int, Form]) -> str:
    """In a line: how many shards in which form, and why; empty where there was no choice."""
    if all(form.why == NO_BASE for form in forms.values()):
        return ""
    groups: dict[tuple[str, str], list[int]] = {}
    for shard, form in sorted(forms.items()):
        groups.setdefault((_name(form), form.why), []).append(shard)
    return "; ".join(
        f"{len(shards)} of {len(forms)} shards {name}: {why}"
        for (name, why), shards in sorted(groups.items(), key=lambda group: -len(group[1]))
    )


def _name(form: Form) -> str:
    if form.both:
        return "both ways"
    return "incremental" if form.base else "from scratch"


def record_of(forms: Mapping[int, Form], before: Generation | None) -> Record:
    """What the generation says of its shards."""
    since_ms = {shard: form.since_ms for shard, form in forms.items() if form.is_incremental}
    unfit = frozenset(shard for shard, form in forms.items() if form.unfit)
    return Record(before.name if since_ms and before else "", since_ms, unfit)

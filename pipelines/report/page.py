"""Writes the report's page and its pictures."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Iterable
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.json as pa_json

from pipelines.common import schema
from pipelines.common.errors import UserError
from pipelines.common.paths import Output, beside_metrics, join
from pipelines.common.plot import png
from pipelines.common.reasons import Reason, Reject
from pipelines.common.records import json_record
from pipelines.common.records.curation import Curation
from pipelines.report import contact_sheets, selection
from pipelines.storage import filesystem, parquet, ranged_reads, staged_photos

LISTED = 5  # rejects listed for each reason, as they have no pixels to show
REJECT = {field.name: "string" for field in dataclasses.fields(Reject)}
SEEN, KEPT = "#b0b7c0", "#4c78a8"


# ---- numbers --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Step:
    """A row of the funnel.

    Attributes:
      what: seen, a Reason, kept, or validation, which is a part of kept.
      images: number of images of each split.
      left: share of all images that are left after this step, percent.
      gone: share of all images that this step drops, percent.
    """

    what: str
    images: list[int]
    left: float
    gone: float


def funnel(counts: dict[str, int]) -> tuple[list[str], list[Step]]:
    """Returns the splits, and the steps from images seen to images kept in Reason's order."""
    splits = [s for s in schema.STAGED_SPLITS if any(k.split("/")[1:2] == [s] for k in counts)]
    drops = {s: [counts.get(f"dropped/{s}/{r}", 0) for r in Reason] for s in splits}
    gone = pd.DataFrame(drops, index=[str(reason) for reason in Reason], dtype="int64")
    validation = pd.Series({s: counts.get("kept/validation", 0) * (s == "train") for s in splits})
    kept = pd.Series({s: counts.get(f"kept/{s}", 0) for s in splits}) + validation
    seen = kept + gone.sum()
    left = seen.sum() - gone.sum(axis=1).cumsum()
    steps = [("seen", seen, seen.sum(), 0)]
    steps += [(r, gone.loc[r], left[r], gone.loc[r].sum()) for r in gone.index[gone.any(axis=1)]]
    steps += [("kept", kept, kept.sum(), 0), ("validation", validation, validation.sum(), 0)]
    percent = 100 / max(1, seen.sum())
    return splits, [
        Step(what, images.tolist(), all_left * percent, all_gone * percent)
        for what, images, all_left, all_gone in steps
    ]


def rejected(paths: Iterable[str]) -> list[dict[str, Any]]:
    """Returns a sample of download's rejects for each reason, with the columns of REJECT."""
    with concurrent.futures.ThreadPoolExecutor(ranged_reads.READERS) as pool:
        found = pd.concat([parquet.empty(REJECT), *pool.map(_rejects, paths)])
    order = {str(reason): place for place, reason in enumerate(Reason)}
    found = _some(found).sort_values("reason", key=lambda names: names.map(order), kind="stable")
    return parquet.to_rows(found, REJECT)


def _rejects(path: str) -> pd.DataFrame:
    data = filesystem.read(path)
    if not data:
        return parquet.empty(REJECT)
    columns = pa_json.ParseOptions(explicit_schema=parquet.arrow_schema(REJECT))
    try:
        return _some(parquet.frame(pa_json.read_json(pa.BufferReader(data), parse_options=columns)))
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: expected one JSON object per line, found: {error}") from None


def _some(rejects: pd.DataFrame) -> pd.DataFrame:
    return selection.sample(rejects, LISTED, ("id", "unit", "detail"))


# ---- pictures -------------------------------------------------------------------------------


def landmarks_plot(found: selection.DecisionDigest, threshold: int) -> bytes:
    """Plots the images of each landmark, by rank and as a histogram, before and after; PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    ranks, bins = figure.subplots(1, 2)
    sizes = {"seen": found.before, "kept": found.after[found.after > 0]}
    for (name, counts), colour in zip(sizes.items(), (SEEN, KEPT), strict=True):
        ranked = counts.sort_values(ascending=False).to_numpy()
        ranks.plot(np.arange(1, len(ranked) + 1), ranked, color=colour, label=name, linewidth=2)
    edges = 2.0 ** np.arange(int(np.log2(found.before.max())) + 2)
    bins.hist([*sizes.values()], edges, color=[SEEN, KEPT], label=[*sizes])
    limit = {"color": "#555555", "linestyle": ":", "label": f"at least {threshold} images"}
    ranks.axhline(threshold, **limit)
    bins.axvline(threshold, **limit)
    ranks.set(xscale="log", yscale="log", xlabel="landmarks, largest first", ylabel="images")
    bins.set(yscale="log", xlabel="images of a landmark", ylabel="landmarks")
    bins.set_xscale("log", base=2)
    for axes in (ranks, bins):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.yaxis.set_minor_formatter("")
    bins.set_ylim(bottom=0.5)  # otherwise a bin with one landmark has no height
    ranks.legend()
    return png(figure)


def _sheets(
    found: selection.DecisionDigest, decided: list[str], output: Output
) -> list[dict[str, Any]]:
    """Draws the contact sheets that have photos.

    Args:
      found: the decisions.
      decided: the paths of their files.
      output: whose photos are shown, and where the sheets are written.

    Returns:
      The file, the reason and the kind of each sheet.
    """
    sheets = list(selection.sheets(found))
    facts = filesystem.match(output.facts("*"))
    known = staged_photos.look_up(set().union(*(chosen.ids for chosen in sheets)), decided, facts)
    drawn = []
    for chosen in sheets:
        if jpeg := contact_sheets.picture(chosen, known, output):
            file = f"{chosen.reason}-{chosen.which}.jpg"
            filesystem.write(join(output.report, file), jpeg)
            drawn.append({"file": file, "reason": chosen.reason, "which": chosen.which})
    return drawn


# ---- the page -------------------------------------------------------------------------------


def report(output: Output, job_dir: str | None = None, metrics: str | None = None) -> str:
    """Writes OUT/report/index.html and its pictures; returns its path.

    Raises:
      UserError: nothing is curated, or `metrics` cannot be read.
    """
    if not filesystem.exists(output.decisions_done):
        raise UserError(f"{output.decisions_done}: nothing is curated; run gld2 prepare first")
    done = filesystem.read_record(Curation, output.decisions_done)
    decided = filesystem.match(output.decision_files)
    found = selection.digest(decided)
    if has_landmarks := len(found.before) > 0:
        plot = landmarks_plot(found, done.parameters.min_images_per_class)
        filesystem.write(join(output.report, "classes.png"), plot)
    splits, steps = funnel(done.funnel)
    page = _template().render(
        output=output.root,
        done=done,
        parameters=json_record.plain(done.parameters),
        has_landmarks=has_landmarks,
        splits=splits,
        steps=steps,
        sheets=_sheets(found, decided, output),
        rejected=rejected(filesystem.match(output.rejects("*"))),
        curves=_copy(job_dir and join(job_dir, "curves.png"), output),
        metrics=_figures(metrics) if metrics else None,
        pr_curve=_copy(metrics and beside_metrics(metrics, "pr_curve.png"), output),
    )
    path = join(output.report, "index.html")
    filesystem.write(path, page)
    return path


def _figures(metrics: str) -> dict[str, dict[str, float]]:
    """Returns the metrics of each subset of queries, in the order of metrics.json."""
    kind = dict[str, dict[str, float]]
    return filesystem.read_record(kind, metrics, "give what gld2 evaluate wrote")


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("pipelines.report")
    return jinja2.Environment(loader=loader, autoescape=True).get_template("report.html")


def _copy(path: str | None, output: Output) -> str | None:
    if not path or not filesystem.exists(path):
        return None
    name = path.rpartition("/")[2]
    filesystem.write(join(output.report, name), filesystem.read(path))
    return name

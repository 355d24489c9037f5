"""What happened, as a page to look at."""

from __future__ import annotations

import collections
import dataclasses
import io
from collections.abc import Iterable, Sequence
from typing import Any

import jinja2
import pandas as pd

from pipelines import example, files, gather, schema, shard, sheet, split, tables
from pipelines.layout import Output
from pipelines.options import OutputOptions, Parser
from pipelines.schema import OUTPUT_SPLITS, Reason, UserError

EXAMPLES = """\
examples:
  gld2 report --output OUT
  gld2 report --output OUT --job_dir JOB --metrics metrics.json
"""

SAMPLES = 18  # photos on a sheet; pairs count as two
DECISIONS = ("id", "landmark_id", "reason", "duplicate_of", "split")
ABOUT = {
    Reason.DUPLICATE: "Each photo that went is followed by the one that it repeats.",
    Reason.LABEL_CONFLICT: "One photo under several landmarks; each is followed by its like.",
    Reason.IN_TEST: "Train photos that are in the test set, each followed by the test photo.",
    Reason.RARE_CLASS: "Photos of landmarks with too few images.",
    Reason.NO_LANDMARK: "Photos without a row in train.csv.",
    Reason.REPEATED_ID: "Photos whose id came twice.",
}
KEPT = "kept"


@dataclasses.dataclass
class Summary:
    """What the decisions say, small enough to hold.

    Attributes:
      before, after: landmark_id -> images seen, images kept.
      samples: reason, or "kept" -> up to SAMPLES rows, chosen by a hash of their ids.
    """

    before: collections.Counter
    after: collections.Counter
    samples: dict[str, pd.DataFrame]


def summarise(paths: Iterable[str]) -> Summary:
    """Reads decisions a file at a time."""
    summary = Summary(collections.Counter(), collections.Counter(), {})
    for path in paths:
        decisions = tables.read(path, {name: schema.DECISIONS[name] for name in DECISIONS})
        kept = decisions["reason"].isna()
        labelled = decisions["landmark_id"].notna()
        summary.before.update(decisions.loc[labelled, "landmark_id"].value_counts().to_dict())
        summary.after.update(decisions.loc[labelled & kept, "landmark_id"].value_counts().to_dict())
        _sample(summary.samples, decisions.assign(reason=decisions["reason"].fillna(KEPT)))
    return summary


def _sample(samples: dict[str, pd.DataFrame], decisions: pd.DataFrame) -> None:
    train = decisions[decisions["split"] != "test"]
    for reason, rows in train.groupby("reason"):
        rows = rows.assign(order=split.order_key(rows["id"], 0))
        found = pd.concat([samples.get(str(reason), rows[:0]), rows])
        samples[str(reason)] = found.nsmallest(SAMPLES, "order")


def photos(ids: set[str], output: Output) -> dict[str, bytes]:
    """The staged JPEGs of some images, by id; those that were never staged are left out."""
    places: list[gather.Place] = []
    names: list[str] = []
    for path in files.match(output.facts("*")):
        facts = tables.read(path, shard.FACTS)
        facts = facts[facts["id"].isin(ids) & (facts["status"] == schema.STAGED)]
        for row in facts.itertuples(index=False):
            places.append(gather.Place(str(row.unit), int(row.offset), int(row.length), len(names)))
            names.append(str(row.id))
    records = gather.gather(places, output.staged)
    return {name: _jpeg(record) for name, record in zip(names, records, strict=True)}


def _jpeg(record: bytes) -> bytes:
    return example.decode(record)[schema.ENCODED]  # type: ignore[return-value]


def _sheets(summary: Summary, output: Output) -> list[dict[str, str]]:
    ids = {
        str(name)
        for rows in summary.samples.values()
        for name in [*rows["id"], *rows["duplicate_of"].dropna()]
    }
    found = photos(ids, output)
    sheets = []
    for reason in [KEPT, *sorted(set(summary.samples) - {KEPT})]:
        tiles = _tiles(summary.samples.get(reason, pd.DataFrame()), found)
        if any(tile.jpeg for tile in tiles):
            file = f"{reason}.jpg"
            files.write(files.join(output.report, file), sheet.draw(tiles[:SAMPLES]))
            title = "Some that were kept" if reason == KEPT else f"Dropped: {reason}"
            sheets.append({"title": title, "file": file, "about": ABOUT.get(reason, "")})  # type: ignore[call-overload]
    return sheets


def _tiles(rows: pd.DataFrame, found: dict[str, bytes]) -> list[sheet.Tile]:
    tiles = []
    for row in rows.itertuples(index=False):
        landmark = "" if pd.isna(row.landmark_id) else f" {row.landmark_id}"
        tiles.append(sheet.Tile(found.get(row.id), f"{row.id}{landmark}"))
        if pd.notna(row.duplicate_of):
            tiles.append(sheet.Tile(found.get(row.duplicate_of), f"= {row.duplicate_of}"))
    return tiles


def _classes_plot(summary: Summary) -> bytes:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for name, counts in (("seen", summary.before), ("kept", summary.after)):
        sizes = sorted(counts.values(), reverse=True)
        axes.plot(range(1, len(sizes) + 1), sizes, marker=".", label=name)
    axes.set(xscale="log", yscale="log", xlabel="landmarks, largest first", ylabel="images")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)
    return out.getvalue()


def _funnel_rows(funnel: dict[str, int]) -> list[dict[str, Any]]:
    rows = [("seen", funnel["images"], False)]
    dropped = sorted(
        ((k, n) for k, n in funnel.items() if k.startswith("dropped/")), key=lambda row: -row[1]
    )
    rows += [(f"{k.split('/')[1]}: {k.split('/')[2]}", n, True) for k, n in dropped]
    rows += [
        (f"kept: {n}", funnel[f"kept/{n}"], False) for n in OUTPUT_SPLITS if f"kept/{n}" in funnel
    ]
    most = max(1, funnel["images"])
    return [
        {"what": what, "images": images, "dropped": drop, "share": round(100 * images / most, 1)}
        for what, images, drop in rows
    ]


def report(output: Output, job_dir: str | None = None, metrics: str | None = None) -> str:
    """Writes OUT/report/index.html and its pictures; returns its path.

    Raises:
      UserError: nothing is curated, or a file that was named is not there.
    """
    if not files.exists(output.decisions_done):
        raise UserError(f"{output.decisions_done}: nothing is curated; run gld2 prepare first")
    done = files.read_json(output.decisions_done)
    summary = summarise(files.match(shard.decision_files(output)))
    files.write(files.join(output.report, "classes.png"), _classes_plot(summary))
    page = _template().render(
        output=output.root,
        done=done,
        funnel=_funnel_rows(done["funnel"]),
        sheets=_sheets(summary, output),
        curves=_copy(job_dir and files.join(job_dir, "curves.png"), output),
        metrics=files.read_json(metrics) if metrics else None,
        pr_curve=_copy(metrics and files.join(_folder(metrics), "pr_curve.png"), output),
    )
    path = files.join(output.report, "index.html")
    files.write(path, page)
    return path


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("pipelines", "templates")
    return jinja2.Environment(loader=loader, autoescape=True).get_template("report.html")


def _copy(path: str | None, output: Output) -> str | None:
    if not path or not files.exists(path):
        return None
    name = path.rsplit("/", 1)[1]
    files.write(files.join(output.report, name), files.read(path))
    return name


def _folder(path: str) -> str:
    return path.rpartition("/")[0] or "."


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(
        "report", "Make a page to look at: the funnel, class sizes, what was dropped.", EXAMPLES
    )
    OutputOptions.add_arguments(parser)
    parser.add_argument("--job_dir", help="of gld2 train, to show its curves")
    parser.add_argument("--metrics", help="metrics.json of gld2 evaluate, to show it")
    args = parser.parse_args(argv)
    print(f"report: {report(Output(args.output), args.job_dir, args.metrics)}")
    return 0

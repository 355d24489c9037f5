"""Defines `gld2 demo`: runs every stage on a small generated world served over HTTP."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import time
import types
from collections.abc import Sequence

from pipelines import prepare
from pipelines.common import cli, paths, tables
from pipelines.common.errors import UserError
from pipelines.common.metrics import Metrics
from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import Options, OutputOptions, flag, group
from pipelines.common.paths import Output
from pipelines.common.records.curation import Curation
from pipelines.evaluate import command as evaluate_command
from pipelines.report import command as report_command
from pipelines.sample import http_server
from pipelines.sample.config import World
from pipelines.score import command as score_command
from pipelines.storage import filesystem

# A small network from random weights, which two cores train in a few minutes.
TRAIN = {
    "backbone": "mobilenet_v2",
    "alpha": "0.35",
    "weights": "none",
    "image_size": "96",
    "batch_size": "32",
}
EPOCHS = "40"
WORLD = "world.json"


@dataclasses.dataclass(frozen=True)
class DemoOptions(Options):
    """The flags of gld2 demo."""

    output: OutputOptions = group()
    epochs: str = flag(EPOCHS, "epochs of training, from random weights", metavar="N")
    train_images: int = flag(World.train_images, "train photos in the world")
    test_images: int = flag(World.test_images, "test photos in the world")
    seed: int = flag(World.seed, "another seed makes another world")


COMMAND = Command(
    "demo",
    DemoOptions,
    "Generate a small world of landmarks, serve it over HTTP on this machine, and run every "
    "stage on it: prepare, train, score, evaluate, report. The same command continues a run "
    "that was stopped.",
    """\
examples:
  gld2 demo --output demo
  gld2 demo --output demo --epochs 5        # faster, but less accurate
""",
)


def demo(root: str, epochs: str, world: World) -> None:
    """Runs each stage as a user would; work that is done is not repeated.

    Args:
      root: a local folder for everything.
      epochs: number of training epochs.
      world: the world to generate; its seed is also that of random choices and weights.

    Raises:
      UserError: a stage failed.
    """
    from trainer import task

    source, output, job = (paths.join(root, name) for name in ("source", "prepared", "job"))
    submission, metrics = (paths.join(root, name) for name in ("submission.csv", "metrics.json"))
    _write_world(source, world)
    with http_server.serve(source) as url:
        _stage(prepare, source=url, output=output, seed=world.seed)
        data = Output(output).dataset
        _stage(task, data=data, job_dir=job, epochs=epochs, seed=world.seed, **TRAIN)
        # By its path: with the server's address, which changes, the photos would seem to be others.
        model = paths.join(job, "export")
        _stage(score_command, source=source, model=model, output=submission)
        solution = f"{url}ground_truth/recognition_solution_v2.1.csv"
        _stage(evaluate_command, submission=submission, solution=solution, output=metrics)
    _stage(report_command, output=output, job_dir=job, metrics=metrics)
    print(_table(output, job, metrics))


def _write_world(source: str, world: World) -> None:
    note = paths.join(source, WORLD)
    if filesystem.exists(note):
        if filesystem.read_record(str, note) != repr(world):
            raise UserError(
                f"{source}: holds a world with other settings; remove it or give another --output"
            )
        print(f"demo: the sample world is in {source}")
        return
    from pipelines.sample import writer  # imports Pillow, which is slow

    summary = writer.write_world(source, world, workers=min(2, os.cpu_count() or 1))
    filesystem.write_record(note, repr(world))
    counts = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in summary.counts().items())
    print(f"demo: a sample world in {source}: {counts}")


def _stage(stage: types.ModuleType, **flags: object) -> None:
    argv = [f"--{name}={value}" for name, value in flags.items()]
    print(f"\n$ gld2 {stage.COMMAND.name} {' '.join(argv)}")
    started = time.monotonic()
    if code := stage.main(argv):
        raise UserError(f"the stage ended with exit code {code}; the lines above say why")
    print(f"demo: {time.monotonic() - started:.0f} s")


def _table(output: str, job: str, metrics: str) -> str:
    done = filesystem.read_record(Curation, Output(output).decisions_done)
    dropped = done.dropped_by_reason
    scores = filesystem.read_record(dict[str, Metrics], metrics)["all"]
    rows = [
        ("images seen", done.images),
        *[(f"  dropped: {reason}", number) for reason, number in dropped.most_common()],
        ("images kept", done.images - dropped.total()),
        ("landmarks seen", done.classes_before),
        ("landmarks kept", done.classes),
        ("training time", f"{_training_seconds(job):.0f} s"),
        ("accuracy", f"{scores.accuracy:.4f}"),
        ("GAP", f"{scores.gap:.4f}"),
        ("report", paths.join(Output(output).report, "index.html")),
    ]
    lines = [f"  {line}" for line in tables.plain(rows, "<<")]
    rule = "-" * max(map(len, lines))
    return "\n".join(["", rule, *lines, rule])


def _training_seconds(job: str) -> float:
    history = filesystem.read(paths.join(job, "history.csv")).decode()
    return sum(float(row["seconds"]) for row in csv.DictReader(io.StringIO(history)))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0."""
    options = COMMAND.parse(argv)
    filesystem.make_folder(options.output.output)
    world = World(
        train_images=options.train_images, test_images=options.test_images, seed=options.seed
    )
    demo(options.output.output, options.epochs, world)
    return 0


if __name__ == "__main__":
    cli.door("demo", "pipelines.demo", "pipelines")

"""Defines `gld2 compare`: trains networks under one budget and makes the paper's Table 1."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Sequence

from pipelines.common import quiet
from pipelines.common.errors import UserError
from pipelines.common.options.command_line import Command
from pipelines.common.options.flags import Options, flag, folder
from trainer import devices, task
from trainer.compare import runs, subprocesses, table
from trainer.compare.rows import Row
from trainer.compare.runs import ComparisonRun
from trainer.config import Config

_EPILOG = """\
an entry of --backbones is NAME[:SIZE][=WEIGHTS], without commas:
  resnet50                     from what --weights says, or else from ImageNet's weights
  resnet50=none                from random weights
  mobilenet_v2:0.35            0.35 is --alpha; of efficientnet, it is --phi
  efficientnet_lite0=lite0.h5  from a file

every other flag is passed to each `gld2 train`, whose --help explains it.

examples:
  The paper's three networks, 5 minutes each, and the inference speed of VGG:
    gld2 compare --data out/dataset --job_dir out/table --minutes 5 --speed_of vgg16
  With weights on disk, measured on the test photos:
    gld2 compare --data out/dataset --job_dir out/table --minutes 5 \\
        --backbones mobilenet_v2:0.35=mobilenet.h5,efficientnet_lite0=lite0.h5,resnet50=none \\
        --solution recognition_solution_v2.1.csv
  One network in four settings, with three epochs of the classifier alone before each:
    gld2 compare --data out/dataset --job_dir out/sweep --backbones efficientnet_b0 \\
        --batch_sizes 16,32 --epochs 3/6 --head_epochs 3
  Two datasets, one after the other, in two settings:
    gld2 compare --data CLEAN,FULL --job_dir out/sweep --epochs 3,1/6,1

what JOB_DIR holds afterwards:
  table1.csv, table1.md, table1.png   the table, with the paper's figures in brackets
  NAME/                               the job folder of `gld2 train`, for each run

Finished runs are not repeated: the same command continues where it was stopped, and with one more
backbone it trains only that one. The row of a run that fails says why, and the exit code is 1.
"""


@dataclasses.dataclass(frozen=True)
class CompareOptions(Options):
    """The flags of gld2 compare; all others go to each gld2 train."""

    data: str = flag(about="as in `gld2 train`", metavar="FOLDER[,FOLDER]")
    job_dir: str = flag(about="folder for the table and all runs", metavar="FOLDER", parse=folder)
    backbones: str = flag(
        "efficientnet_b0,mobilenet_v2,resnet50",
        "the networks: see below",
        metavar="ENTRY[,ENTRY]",
    )
    minutes: float | None = flag(
        None,
        "the most minutes that a run may train, estimated from a few steps timed before it: a run "
        "that would take longer gets fewer epochs, each phase in proportion (default: all runs "
        "have the same epochs, however long they take)",
    )
    batch_sizes: str = flag("", "a row for each, as in 16,32", metavar="N[,N]")
    epochs: str = flag("", "a row for each, as in 3/6", metavar="N[/N]")
    solution: str = flag(
        "",
        "Kaggle's recognition_solution CSV: measure on the test split, by Kaggle's rules "
        "(default: on the validation split, after the last epoch)",
        metavar="FILE",
    )
    speed_of: str = flag(
        "",
        "networks whose inference is timed but that are not trained, such as vgg16",
        metavar="ENTRY[,ENTRY]",
    )
    speed_batch: int = flag(
        32, "photos in the batch on which all networks are timed", least=1, most=65536
    )

    def __post_init__(self) -> None:
        """Raises UserError where the minutes are not positive and finite."""
        super().__post_init__()
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise UserError(f"--minutes: expected more than 0, found {self.minutes:g}")


COMMAND = Command(
    "compare",
    CompareOptions,
    "Trains several networks under the same budget, and makes a table of them.",
    _EPILOG,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: flags; None for the process's own.

    Returns:
      0; 1 where a run failed.

    Raises:
      UserError: an error that the user can correct, found before the first run.
    """
    options, passed = COMMAND.parse_known(argv)
    if any(word.partition("=")[0] == "--backbone" for word in passed):
        raise UserError("--backbone: gld2 compare takes --backbones instead")
    rows = _compare(options, passed)
    failed = [row.run for row in rows if row.problem]
    if failed:
        print(f"gld2 compare: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _compare(options: CompareOptions, passed: list[str]) -> list[Row]:
    """Checks everything, runs everything, and writes the table."""
    place = options.job_dir
    passed = [*passed, f"--data={options.data}", f"--job_dir={place}"]
    planned = runs.plan_runs(place, options.backbones, options.batch_sizes, options.epochs, passed)
    planned += runs.plan_speed_runs(options.speed_of, passed) if options.speed_of else []
    devices.choose_backend(planned[0].settings.device)
    with quiet.tensorflow():
        # TensorFlow, which --help and a wrong flag should not wait for.
        from trainer.compare import evaluation
    evaluation_set = evaluation.find_evaluation_set(planned, options.solution)
    evaluation.check_weights(planned)
    rows = [_trained(run, options.minutes) for run in planned]
    # Only after all runs, as a GPU or a TPU serves one process at a time.
    notes = evaluation.fill(rows, planned, evaluation_set, options.speed_batch)
    markdown = table.to_markdown(rows, [*notes, *_budget(rows, options.minutes)])
    table.write(place, rows, markdown)
    print(f"\n{markdown}\ntable: {place}/table1.csv, table1.md, table1.png")
    return rows


def _trained(run: ComparisonRun, minutes: float | None) -> Row:
    """Trains a network unless it is trained already; returns its row, with the error if any."""
    settings = run.settings
    row = Row(run.name, run.network, runs.weights_name(settings), image_size=settings.image_size)
    if not run.trains:
        return row
    row.batch_size, row.pretrained = settings.batch_size, "yes" if settings.pretrained else "no"
    print(f"compare: {run.name}", flush=True)
    try:
        if minutes:
            settings = _shortened(settings, minutes)
        row.head_epochs, row.epochs = settings.head_epochs, ",".join(map(str, settings.epochs))
        subprocesses.run("trainer.task", task.flags(settings))
    except UserError as error:
        row.problem = str(error)
    return row


def _shortened(settings: Config, minutes: float) -> Config:
    """Returns the settings with the epochs that fit, by timings of now or of an earlier run."""
    from trainer.compare import time_budget

    if time_budget.read(settings) is None:
        print("timing a few steps of each phase", flush=True)
        subprocesses.run("trainer.compare.time_budget", task.flags(settings))
    return time_budget.shortened(settings, time_budget.read(settings) or [], minutes)


def _budget(rows: Sequence[Row], minutes: float | None) -> list[str]:
    """Returns notes on the time that the runs were given."""
    if minutes is None:
        return []
    over = [row.run for row in rows if (row.seconds or 0) > 60 * minutes]
    note = f"each run was given the epochs that were to fit into {minutes:g} minutes"
    return [f"{note}; these took longer: {', '.join(over)}" if over else note]

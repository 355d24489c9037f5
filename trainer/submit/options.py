"""The flags of `gld2 submit`, and what --help says."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from pipelines.common.errors import UserError

_EPILOG = """\
gld2 submit tpu --help and gld2 submit vertex --help teach each. After -- come the flags of
gld2 train, which are checked here first: a typo costs no TPU minute. --data and --job_dir are on
gs://; the trainer resumes from --job_dir, so the same command goes on wherever a run broke off.

  gld2 submit tpu --project PROJECT --zone europe-west4-a --name gld2-b0 --accelerator v3-8 \\
      --package dist/gld2-0.1.0-py3-none-any.whl --staging gs://BUCKET/staging --dry_run \\
      -- --data gs://BUCKET/dataset --job_dir gs://BUCKET/job

credentials: gcloud auth application-default login; --dry_run needs none
"""

_TPU = """\
examples:
  Once: the package that the TPU VM installs
    pip wheel --no-deps -w dist .
  See the exact request, and send nothing:
    gld2 submit tpu --project PROJECT --zone europe-west4-a --name gld2-b0 --accelerator v3-8 \\
        --package dist/gld2-0.1.0-py3-none-any.whl --constraints constraints.txt \\
        --staging gs://BUCKET/staging --dry_run \\
        -- --data gs://BUCKET/dataset --job_dir gs://BUCKET/job --batch_size 1024
  On a spot TPU, asked for again whenever it is taken away, and deleted at the end:
    gld2 submit tpu ... --spot --wait --delete_when_done -- ...

what happens: the package goes to --staging; a queued resource waits for a TPU; when one is there,
each of its workers installs the package in a Python of its own and runs gld2 train --device tpu,
again after an error (5 times in a row; not after a mistake of yours), and after a reboot. Its log
is on the serial console and below JOB_DIR/submit/. Interrupted while it waits? The same command
again follows the same run. The service account needs storage.objectAdmin on the buckets, and
tpu.admin for --delete_when_done. The flags can be read in the VM's metadata: put no secret there.
"""

_VERTEX = """\
examples:
  A TPU v3-8, for at most 12 hours:
    gld2 submit vertex --project PROJECT --region europe-west4 --name gld2-b0 \\
        --image europe-west4-docker.pkg.dev/PROJECT/gld2/trainer-tpu --machine_type cloud-tpu \\
        --accelerator TPU_V3 --timeout_hours 12 --staging gs://BUCKET/staging --wait \\
        -- --data gs://BUCKET/dataset --job_dir gs://BUCKET/job --batch_size 1024
  A TPU v5e of four chips; the machine brings them:
    gld2 submit vertex ... --machine_type ct5lp-hightpu-4t --tpu_topology 2x2 -- ...
  A spot GPU:
    gld2 submit vertex ... --machine_type n1-standard-16 --accelerator NVIDIA_TESLA_T4 --spot -- ...

The image has gld2 on its PATH, with the extra tpu or trainer.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command's own flags, and those of gld2 train behind `--`.

    Raises:
      UserError: a flag that is unknown, malformed or missing.
    """
    own = list(argv)
    train: list[str] = []
    if "--" in own:
        cut = own.index("--")
        own, train = own[:cut], own[cut + 1 :]
    args = _parser().parse_args(own)
    if not train:
        raise UserError("expected -- and the flags of gld2 train at the end")
    _check(args)
    return args, train


def _check(args: argparse.Namespace) -> None:
    """Of the flags that both ways have."""
    expected = {
        "project": (r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project's id"),
        "name": (r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "a-z, 0-9 and -, at most 63, a letter first"),
        "staging": (r"gs://[a-z0-9._-]+(/[^\s*?\[\]#]*)?", "gs://BUCKET/FOLDER"),
    }
    args.staging = args.staging.rstrip("/")
    for name, (pattern, words) in expected.items():
        if not re.fullmatch(pattern, getattr(args, name)):
            raise UserError(f"--{name} {getattr(args, name)!r}: expected {words}")
    if not 1 <= args.attempts <= 1000:
        raise UserError(f"--attempts: expected 1 to 1000, found {args.attempts}")
    if not 1 <= args.poll_seconds <= 3600:
        raise UserError(f"--poll_seconds: expected 1 to 3600, found {args.poll_seconds}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gld2 submit",
        description="Sends gld2 train to a Cloud TPU or to Vertex AI.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    targets = parser.add_subparsers(dest="target", required=True, metavar="tpu|vertex")
    _add_tpu(_target(targets, "tpu", "to a TPU VM, or a slice of several", _TPU))
    _add_vertex(_target(targets, "vertex", "as a Vertex AI custom job", _VERTEX))
    return parser


def _target(targets, name: str, about: str, epilog: str) -> argparse.ArgumentParser:
    parser = targets.add_parser(
        name,
        help=about,
        usage=f"gld2 submit {name} [flags] -- FLAGS OF gld2 train",
        description=f"Sends gld2 train {about}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--project", required=True, help="the Google Cloud project that pays")
    add("--name", required=True, help="of this run, among those of the project")
    add("--staging", required=True, metavar="gs://BUCKET/FOLDER", help="for what is sent along")
    add("--spot", action="store_true", help="cheaper machines that may be taken away at any time")
    add("--service_account", default="", metavar="EMAIL", help="whom the trainer works as")
    add("--network", default="", help="of the machines")
    add("--dry_run", action="store_true", help="print the exact request as JSON and send nothing")
    add("--wait", action="store_true", help="follow the run to its end")
    add(
        "--attempts",
        type=int,
        default=10,
        metavar="N",
        help="with --wait: how often it is submitted in all, where its machines are taken away "
        "(default: %(default)s)",
    )
    add(
        "--poll_seconds",
        type=float,
        default=30.0,
        metavar="S",
        help="with --wait: between two looks (default: %(default)s)",
    )
    return parser


def _add_tpu(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--zone", required=True, help="such as europe-west4-a")
    add("--accelerator", required=True, metavar="TYPE", help="such as v3-8, v4-32, v5litepod-8")
    add("--runtime_version", default="", metavar="IMAGE", help="(default: fits the accelerator)")
    add(
        "--package",
        required=True,
        metavar="FILE",
        help="the wheel or sdist of gld2, here or on gs://",
    )
    add("--constraints", default="", metavar="FILE", help="versions for pip, here or on gs://")
    add("--subnetwork", default="", help="of the machines")
    add(
        "--internal_ips",
        action="store_true",
        help="no public addresses; the network then needs a NAT, to install packages",
    )
    add(
        "--valid_until_hours",
        type=float,
        metavar="H",
        help="give up where there is no TPU by then (default: never)",
    )
    add(
        "--delete_when_done",
        action="store_true",
        help="delete the TPU when the run is over, well or not",
    )


def _add_vertex(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--region", required=True, help="such as europe-west4")
    add("--image", required=True, metavar="URI", help="a container image with gld2")
    add("--machine_type", required=True, metavar="TYPE", help="cloud-tpu for TPU v2 and v3")
    add("--accelerator", default="", metavar="TYPE", help="such as TPU_V3 or NVIDIA_TESLA_T4")
    add("--accelerator_count", type=int, metavar="N", help="(default: 8 for TPU_..., else 1)")
    add("--tpu_topology", default="", metavar="2x2", help="of TPUs that come with the machine")
    add(
        "--timeout_hours",
        type=float,
        default=0,
        metavar="H",
        help="stop it then (default: Vertex's, 7 days)",
    )
    add("--flex_start", action="store_true", help="queue until the machines can be had")
    add(
        "--max_wait_hours",
        type=float,
        default=0,
        metavar="H",
        help="with --flex_start: give up then (default: Vertex's, 24)",
    )
    add(
        "--restart_on_restart",
        action="store_true",
        help="start the whole job again where a worker is; it resumes from its checkpoint",
    )

"""Writes the script that each worker of a TPU slice runs when it boots."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Sequence

from pipelines.common.errors import UserError

BODY = pathlib.Path(__file__).with_name("startup.sh")
HOME = "/opt/gld2"  # on the worker
UV = "0.13.9"  # version of uv, which installs Python and packages on the worker
TRIES = 5  # failed runs of the trainer in a row, after which the worker gives up
MAX_BYTES = 256 * 1024  # of one value of a VM's metadata


def script(command: Sequence[str], *, home: str = HOME, **values: str) -> str:
    """Returns the script of startup.sh with its variables and the trainer's command set.

    Args:
      command: the trainer's command, word by word; each word is quoted for the shell.
      home: the worker's folder that the script may write to.
      **values: name, project and zone of the queued resource; job_dir; package and constraints,
        gs:// files, of which constraints may be ''; delete_when_done, 'yes' or ''.

    Raises:
      UserError: the script is larger than a value of a VM's metadata may be.
    """
    values = values | {"home": home, "uv": UV, "tries": str(TRIES)}
    lines = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    head = ["#!/bin/bash", *lines, f"command=({shlex.join(command)})"]
    text = "\n".join(head) + "\n" + BODY.read_text(encoding="utf-8")
    if len(text.encode()) > MAX_BYTES:
        raise UserError(
            f"the flags of gld2 train are too long: expected a startup script of at most "
            f"{MAX_BYTES} bytes, found {len(text.encode())}"
        )
    return text

"""The script that each worker of a TPU slice runs when it boots."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Sequence

from pipelines.common.errors import UserError

BODY = pathlib.Path(__file__).with_name("startup.sh")
HOME = "/opt/gld2"  # on the worker
UV = "0.13.9"  # installs Python and packages there
TRIES = 5  # in a row, of a trainer that ends with an error
MAX_BYTES = 256 * 1024  # of one value of a VM's metadata


def script(command: Sequence[str], *, home: str = HOME, **values: str) -> str:
    """The script, with what it is to run in front.

    Args:
      command: the trainer's, word by word. No word is ever read by a shell.
      home: the folder that it may write to.
      **values: name, project and zone of the queued resource; job_dir; package and constraints,
        gs:// files, of which constraints may be ''; delete_when_done, 'yes' or ''.

    Raises:
      UserError: it is larger than a VM's metadata may be.
    """
    values = values | {"home": home, "uv": UV, "tries": str(TRIES)}
    lines = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    head = ["#!/bin/bash", *lines, f"command=({shlex.join(command)})"]
    text = "\n".join(head) + "\n" + BODY.read_text(encoding="utf-8")
    if len(text.encode()) > MAX_BYTES:
        raise UserError(f"the flags of gld2 train are too long: expected {MAX_BYTES} bytes in all")
    return text

"""What the launcher of a flex template starts: a gld2 command, its flags from the template."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

from pipelines.main import main


def flags(parameters: Iterable[str]) -> Iterator[str]:
    """Parameters as flags: a switch comes as --name=true or --name=false, and is there or not."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if value == "true":
            yield name
        elif value != "false":
            yield parameter


if __name__ == "__main__":
    sys.exit(main([os.environ["GLD2_COMMAND"], *flags(sys.argv[1:])]))

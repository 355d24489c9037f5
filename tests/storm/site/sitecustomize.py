"""Python imports this at its start, in the workers that Beam starts anew during a storm."""

import os

from tests.storm import disk

disk.install_from(os.environ)

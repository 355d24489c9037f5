"""Sets of values for `gld2 train --preset NAME`; a flag on the command line overrides the preset.

Defaults are in `config.py`. Learning rates are for 32 photos a step.
"""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # The paper's recipe: on an ImageNet network, a new softmax classifier is trained alone, then
    # the whole network.
    "paper": {
        "head": "softmax",
        "pooling": "average",
        "head_epochs": 3,
        "epochs": (5,),
        "label_smoothing": 0.0,
    },
    # The recipe of the competition's winners: generalised-mean pooling, 512 features, three
    # sub-centres for each class, and a margin that grows as a class gets rarer. For --data
    # CLEAN,FULL: the features are learned on the clean photos, then all photos fill the classes.
    "winner": {
        "backbone": "efficientnet_b3",
        "pooling": "gem",
        "embedding": 512,
        "head": "arcface",
        "subcentres": 3,
        "arcface_scale": 45.0,
        "margin": (0.2, 0.5),
        "label_smoothing": 0.0,
        "class_balance": 0.5,
        "head_epochs": 1,
        "epochs": (10, 4),
    },
}

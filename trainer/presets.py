"""Sets of values for `gld2 train --preset NAME`; a flag that is given goes before the preset.

Defaults are in `config.py`. Rates are for 32 photos a step.
"""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # The paper's: an ImageNet network, a new softmax classifier trained alone, then all of it.
    "paper": {
        "head": "softmax",
        "pooling": "average",
        "head_epochs": 3,
        "epochs": (5,),
        "label_smoothing": 0.0,
    },
    # What won on this dataset: generalised-mean pooling, 512 features, three directions for each
    # class, and the more margin the rarer the class. For --data CLEAN,FULL: the clean photos
    # shape the features, all of them fill the classes.
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

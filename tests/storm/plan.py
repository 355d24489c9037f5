"""What a seed stands for: a world, the weather, and what befalls each attempt at a command."""

from __future__ import annotations

import dataclasses
import random

from pipelines.sample.config import World
from tests.storm.disk import Kind

WORLDS = tuple(
    World(landmarks=4, train_images=48 + 4 * n, test_images=16, defects=n % 2, sides=(40, 56),
          train_archives=1 + n % 3, test_archives=1 + n // 2 % 2, seed=n)
    for n in range(4)
)  # fmt: skip
TWO = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
THREADS = ("--direct_num_workers=2", "--direct_running_mode=multi_threading")
ENGINES = (*[()] * 8, *[THREADS] * 3, TWO)  # processes seldom, as they take long to start


@dataclasses.dataclass(frozen=True)
class Blow:
    """What befalls one attempt at a command.

    Attributes:
      kind: of what happens on the disk.
      at: share of the operations of a calm run after which it happens.
      lasts: number of operations for which it lasts.
      dies: share of a calm run's time after which the command is killed; above 1 it may end.
      rate: share of requests that the server answers badly.
      engine: Beam's flags.
    """

    kind: Kind
    at: float
    lasts: int
    dies: float
    rate: float
    engine: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Storm:
    """A run of prepare and score in bad weather.

    Attributes:
      seed: that it is made from.
      world: index of a world in `WORLDS`.
      loose: whether photos are loose files on a disk, as Kaggle has them, or tars on a server.
      blows: for the attempts, in their order; the attempts after them are undisturbed.
    """

    seed: int
    world: int
    loose: bool
    blows: tuple[Blow, ...]

    @classmethod
    def of(cls, seed: int) -> Storm:
        """The storm of a seed."""
        chance = random.Random(f"storm {seed}")
        number = chance.randint(3, 7)
        return cls(
            seed,
            chance.randrange(len(WORLDS)),
            chance.random() < 0.25,
            tuple(_blow(chance) for _ in range(number)),
        )


def _blow(chance: random.Random) -> Blow:
    return Blow(
        kind=chance.choice(list(Kind)),
        at=chance.random() ** 2,  # an attempt that goes on has less to do than a calm run
        lasts=chance.choice((1, 1, 3, 1000)),
        dies=chance.choice((chance.random(), 10.0, 10.0)),
        rate=chance.choice((0.0, 0.1, 0.3)),
        engine=chance.choice(ENGINES),
    )

"""What both ways to Google Cloud share: patience with its faults, and following a run."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import requests
import tenacity
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from pipelines.common.errors import UserError, in_one_line

PATIENCE = 600.0  # seconds that a fault may last
TIMEOUT = 60.0  # seconds for one request
LONGEST_LINE = 1000  # characters; Google Cloud lists all that it finds wrong
TRANSIENT = (
    exceptions.ServiceUnavailable,
    exceptions.InternalServerError,
    exceptions.GatewayTimeout,
    exceptions.Aborted,
)
LOGIN = "run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS"

T = TypeVar("T")

_line = functools.partial(in_one_line, limit=LONGEST_LINE)


class NotYet(Exception):
    """Something has to end before the request can be made."""


class Outcome(enum.Enum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"  # its machines were taken away: worth another attempt


@dataclasses.dataclass(frozen=True)
class Status:
    """A look at a run.

    Attributes:
      state: as the service names it.
      outcome: None while it goes on.
      detail: what the service or the trainer says, for a person; may be ''.
    """

    state: str
    outcome: Outcome | None = None
    detail: str = ""


class Run(Protocol):
    """A training run on some service."""

    def start(self) -> str:
        """Sends the request, unless the same run goes on already; returns its resource name.

        It may be called again after a fault, and makes no second run.
        """

    def look(self) -> Status: ...

    def where(self) -> dict[str, str]:
        """Where to look, as title -> URL or command."""

    def close(self) -> None:
        """Does what is left to do when it is over."""


def start(run: Run) -> None:
    """Sends a run and says where it is."""
    print(f"submitted: {patiently(run.start)}", flush=True)
    for title, text in run.where().items():
        print(f"  {title + ':':<10}{text}", flush=True)


def follow(run: Run, attempts: int, poll_seconds: float) -> int:
    """Waits for the end of a run that was started; replaces it where its machines went away.

    Args:
      run: the run.
      attempts: how often it is started, the first one counted.
      poll_seconds: between two looks.

    Returns:
      0 where it succeeded, 1 where not.
    """
    attempt = 1
    while (outcome := _until_over(run, poll_seconds)) == Outcome.LOST and attempt < attempts:
        attempt += 1
        print(f"its machines were taken away; attempt {attempt} of {attempts}", flush=True)
        start(run)
    patiently(run.close)
    print(f"{outcome.value} in attempt {attempt} of {attempts}", flush=True)
    return 0 if outcome == Outcome.SUCCEEDED else 1


def _until_over(run: Run, poll_seconds: float) -> Outcome:
    """Prints each new state."""
    shown = None
    while True:
        status = patiently(run.look, also=(exceptions.TooManyRequests,))
        if status != shown:
            print(
                f"{time.strftime('%H:%M:%S')} {status.state} {status.detail}".rstrip(), flush=True
            )
            shown = status
        if status.outcome:
            return status.outcome
        time.sleep(poll_seconds)


def patiently(action: Callable[[], T], also: tuple[type[Exception], ...] = ()) -> T:
    """Does something, again and again with growing pauses while the service has passing faults.

    Args:
      action: what can be repeated.
      also: further exceptions that are passing. A quota that is used up is not, as a rule.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((*TRANSIENT, NotYet, *also)),
        stop=tenacity.stop_after_delay(PATIENCE),
        wait=tenacity.wait_random_exponential(multiplier=1, min=0.2, max=60),
        before_sleep=_tell,
        reraise=True,
    )(action)


def _tell(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    print(f"{_line(error)}; again in {pause:.0f} s", file=sys.stderr, flush=True)


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Makes what Google Cloud refuses a UserError.

    Raises:
      UserError: no credentials, or the service's own words.
    """
    try:
        yield
    except DefaultCredentialsError:
        raise UserError(f"no Google Cloud credentials: {LOGIN}") from None
    except GoogleAuthError as error:
        raise UserError(f"Google Cloud credentials do not work ({_line(error)}): {LOGIN}") from None
    except (exceptions.GoogleAPIError, NotYet) as error:
        raise UserError(f"Google Cloud: {_line(error)}") from error
    except requests.RequestException as error:  # from Cloud Storage, which is reached over HTTP
        raise UserError(f"Cloud Storage cannot be reached: {_line(error)}") from error

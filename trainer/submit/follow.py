"""Starts a run on Google Cloud and follows it to its end, with retries of failed requests."""

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

RETRY_SECONDS = 600.0  # for which a failing request is tried again
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


class ResourceBusy(Exception):
    """The request has to wait until an earlier resource of the same name is removed."""


class Outcome(enum.Enum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"  # the service took its machines away; another attempt may succeed


@dataclasses.dataclass(frozen=True)
class Status:
    """The state of a run at one time.

    Attributes:
      state: the service's name of the state.
      outcome: None while the run is not over.
      detail: the message of the service or the trainer; may be ''.
    """

    state: str
    outcome: Outcome | None = None
    detail: str = ""


class CloudRun(Protocol):
    """A training run on a service of Google Cloud."""

    def start(self) -> str:
        """Sends the request, unless the same run is active already; returns its resource name.

        It may be called again after an error: that starts no second run.
        """

    def poll(self) -> Status:
        """Asks the service for the run's present state."""

    def links(self) -> dict[str, str]:
        """Returns URLs and commands for looking at the run, by title."""

    def close(self) -> None:
        """Cleans up after a run that is over."""


def start(run: CloudRun) -> None:
    """Starts a run; prints its name and its links."""
    print(f"submitted: {with_retries(run.start)}", flush=True)
    for title, text in run.links().items():
        print(f"  {title + ':':<10}{text}", flush=True)


def follow(run: CloudRun, attempts: int, poll_seconds: float) -> int:
    """Waits until a started run is over; starts it again where the service took its machines away.

    Args:
      run: the run.
      attempts: the most starts in all, the first one included.
      poll_seconds: seconds between two polls.

    Returns:
      0 where it succeeded, 1 where not.
    """
    attempt = 1
    while (outcome := _poll_until_over(run, poll_seconds)) == Outcome.LOST and attempt < attempts:
        attempt += 1
        print(
            f"the service took the machines away; starting attempt {attempt} of {attempts}",
            flush=True,
        )
        start(run)
    with_retries(run.close)
    print(f"{outcome.value} in attempt {attempt} of {attempts}", flush=True)
    return 0 if outcome == Outcome.SUCCEEDED else 1


def _poll_until_over(run: CloudRun, poll_seconds: float) -> Outcome:
    """Polls a run until it is over, and prints each new state."""
    printed = None
    while True:
        status = with_retries(run.poll, also=(exceptions.TooManyRequests,))
        if status != printed:
            print(
                f"{time.strftime('%H:%M:%S')} {status.state} {status.detail}".rstrip(), flush=True
            )
            printed = status
        if status.outcome:
            return status.outcome
        time.sleep(poll_seconds)


def with_retries(action: Callable[[], T], also: tuple[type[Exception], ...] = ()) -> T:
    """Calls a function, again after transient errors with growing pauses; returns its result.

    Args:
      action: may be called several times.
      also: further exceptions to retry, besides TRANSIENT. An exhausted quota is not retried as a
        rule.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((*TRANSIENT, ResourceBusy, *also)),
        stop=tenacity.stop_after_delay(RETRY_SECONDS),
        wait=tenacity.wait_random_exponential(multiplier=1, min=0.2, max=60),
        before_sleep=_print_retry,
        reraise=True,
    )(action)


def _print_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    print(f"{_line(error)}; trying again in {pause:.0f} s", file=sys.stderr, flush=True)


@contextlib.contextmanager
def as_user_errors() -> Iterator[None]:
    """Turns the errors of Google Cloud's clients into a UserError of one line.

    Raises:
      UserError: there are no credentials, or the service refused a request; with its message.
    """
    try:
        yield
    except DefaultCredentialsError:
        raise UserError(f"no Google Cloud credentials: {LOGIN}") from None
    except GoogleAuthError as error:
        raise UserError(f"Google Cloud credentials do not work ({_line(error)}): {LOGIN}") from None
    except (exceptions.GoogleAPIError, ResourceBusy) as error:
        raise UserError(f"Google Cloud: {_line(error)}") from error
    except requests.RequestException as error:  # of Cloud Storage, whose client uses HTTP
        raise UserError(f"Cloud Storage cannot be reached: {_line(error)}") from error

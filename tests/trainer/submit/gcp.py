"""Google Cloud on this machine: gRPC servers that speak its protocol.

The real client libraries talk to them. A server keeps what it was asked, and lives through the
states that a test gives it.
"""

from __future__ import annotations

import contextlib
import datetime
import types
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures

import grpc
import proto
from google.cloud import aiplatform_v1, tpu_v2
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.protobuf.message import Message
from google.rpc import status_pb2

State = str | Callable[[], str]  # a state, or what happens before it shows


class Server(grpc.GenericRpcHandler):
    """A service. Its methods are a subclass's, by their names in the protocol.

    Attributes:
      asked: (method, request) of each call that was answered.
      faults: calls that are refused with UNAVAILABLE before any is answered.
      lost: a method whose next answer is lost on its way, after it has done its work.
    """

    def __init__(self, library: types.ModuleType, faults: int = 0):
        self.asked: list[tuple[str, object]] = []
        self.faults = faults
        self.lost = ""
        self._library = library

    def service(self, details):
        method = details.method.rpartition("/")[2]
        return grpc.unary_unary_rpc_method_handler(
            lambda data, context: self._answer(method, data, context)
        )

    def sent(self, method: str) -> list:
        return [request for name, request in self.asked if name == method]

    def _answer(self, method: str, data: bytes, context: grpc.ServicerContext) -> bytes:
        if self.faults:
            self.faults -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "the service is away")
        name = f"{method}Request"
        kind = getattr(self._library, name, None) or getattr(operations_pb2, name)
        plain = kind.pb() if issubclass(kind, proto.Message) else kind
        request = plain.FromString(data)
        if plain is not kind:
            request = kind.wrap(request)
        self.asked.append((method, request))
        answer = getattr(self, method)(request, context)
        if self.lost == method:
            self.lost = ""
            context.abort(grpc.StatusCode.UNAVAILABLE, "the line broke")
        if isinstance(answer, proto.Message):
            return type(answer).serialize(answer)
        return answer.SerializeToString()


class Tpu(Server):
    """The TPU API: one queued resource at a time.

    Args:
      lives: for each creation, the states that it goes through at each look; the last one stays.
      faults: see Server.
      refusal: (code, message) that a creation ends with.
    """

    def __init__(
        self,
        *lives: Sequence[State],
        faults: int = 0,
        refusal: tuple[int, str] | None = None,
    ):
        super().__init__(tpu_v2, faults)
        self.resource: tpu_v2.QueuedResource | None = None
        self._lives = list(lives)
        self._refusal = refusal
        self._states: list[State] = []

    def CreateQueuedResource(self, request, context):
        if self.resource:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "there is one")
        if not self._refusal:
            self.resource = tpu_v2.QueuedResource(request.queued_resource)
            self.resource.create_time = datetime.datetime.now(datetime.UTC)
            self._states = list(self._lives.pop(0))
        return operations_pb2.Operation(name="operations/1")

    def GetQueuedResource(self, request, context):
        if self.resource is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "there is none")
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        name, _, initiator = (state if isinstance(state, str) else state()).partition(" by ")
        self.resource.state = tpu_v2.QueuedResourceState(
            state=name, state_initiator=initiator or "STATE_INITIATOR_UNSPECIFIED"
        )
        if name == "FAILED":
            self.resource.state.failed_data.error = status_pb2.Status(message="no TPU in time")
        return self.resource

    def DeleteQueuedResource(self, request, context):
        self.resource = None
        return _done(empty_pb2.Empty())

    def GetOperation(self, request, context):
        if self._refusal:
            code, message = self._refusal
            return operations_pb2.Operation(
                done=True, error=status_pb2.Status(code=code, message=message)
            )
        return _done(tpu_v2.QueuedResource.pb(tpu_v2.QueuedResource()))


class Jobs(Server):
    """Vertex AI's jobs. For `lives`, see Tpu; a state may be followed by ': CODE MESSAGE'."""

    def __init__(self, *lives: Sequence[str], faults: int = 0):
        super().__init__(aiplatform_v1, faults)
        self.jobs: list[aiplatform_v1.CustomJob] = []
        self._lives = list(lives)

    def CreateCustomJob(self, request, context):
        job = aiplatform_v1.CustomJob(request.custom_job)
        job.name = f"{request.parent}/customJobs/{len(self.jobs) + 1}"
        job.state = "JOB_STATE_QUEUED"
        self.jobs.append(job)
        return job

    def GetCustomJob(self, request, context):
        job = next(job for job in self.jobs if job.name == request.name)
        states = self._lives[self.jobs.index(job)]
        state, _, error = (states.pop(0) if len(states) > 1 else states[0]).partition(": ")
        job.state = f"JOB_STATE_{state}"
        if error:
            code, _, message = error.partition(" ")
            job.error = status_pb2.Status(code=int(code), message=message)
        return job

    def ListCustomJobs(self, request, context):
        return aiplatform_v1.ListCustomJobsResponse(custom_jobs=self.jobs)


@contextlib.contextmanager
def channel(server: Server) -> Iterator[grpc.Channel]:
    """Serves, and connects without credentials."""
    served = grpc.server(futures.ThreadPoolExecutor(4), handlers=(server,))
    port = served.add_insecure_port("127.0.0.1:0")
    served.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as connected:
        yield connected
    served.stop(None)


def _done(answer: Message) -> operations_pb2.Operation:
    done = operations_pb2.Operation(name="operations/1", done=True)
    done.response.Pack(answer)
    return done

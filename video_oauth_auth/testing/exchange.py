"""From a request to what is sent back: recording, faults, and the server's own logic, in one order.

The record is complete before the first byte of the answer leaves: whoever has an answer finds it recorded.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from .answers import Answer, json_answer
from .faults import Drip, Drop, FaultPlan, Mutate, Rule
from .recording import RecordedRequest, Recording, Role, TokenState


def _no_token(_: RecordedRequest) -> TokenState | None:
    return None


def _nothing_learned(_: Mapping[str, object]) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Something that answers requests, and how it may misbehave.

    Attributes:
        answer: The logic: from a complete request to an answer.
        token_state: What the token of a request is worth, told to `answer` and to the record.
        learn: Sees the members of each mutated answer (they may hold a token that nobody issued).
    """

    role: Role
    answer: Callable[[RecordedRequest], Answer]
    faults: FaultPlan
    token_state: Callable[[RecordedRequest], TokenState | None] = _no_token
    learn: Callable[[Mapping[str, object]], None] = _nothing_learned


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What goes back, and how: whole, a byte at a time, or not at all."""

    answer: Answer | None
    drop: Drop | None = None
    drip: Drip | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The steps of answering, with the recording and the place for errors of the servers themselves."""

    recording: Recording
    stopping: threading.Event
    failures: list[Exception] = field(repr=False)

    def perform(self, endpoint: Endpoint, request: RecordedRequest) -> Delivery:
        """Answer one complete request."""
        self.recording.arrived(request)
        rule = endpoint.faults.take(request)
        endpoint.faults.endure(rule, "before")
        request = replace(request, token_state=endpoint.token_state(request))
        drop = next((fault for fault in rule.faults if isinstance(fault, Drop)), None)
        if self.stopping.is_set():
            return Delivery(answer=None, drop=Drop("before"))  # let go by stop(): not processed any more
        if drop and drop.when == "before":
            self.recording.update(request)
            return Delivery(answer=None, drop=drop)
        answer, request = self._answer(endpoint, rule, request)
        self.recording.update(request)
        endpoint.faults.endure(rule, "after")
        if drop:
            return Delivery(answer=answer if drop.when == "midway" else None, drop=drop)
        self.recording.update(replace(request, status=answer.status))
        drip = next((fault for fault in rule.faults if isinstance(fault, Drip)), None)
        return Delivery(answer=answer, drip=drip)

    def _answer(self, endpoint: Endpoint, rule: Rule, request: RecordedRequest) -> tuple[Answer, RecordedRequest]:
        instead = next((fault for fault in rule.faults if isinstance(fault, Answer)), None)
        if instead:
            return instead, request
        try:
            answer = endpoint.answer(request)
            for fault in rule.faults:
                if isinstance(fault, Mutate):
                    answer = _mutated(answer, fault, endpoint)
        except Exception as error:  # noqa: BLE001 - kept, and raised again where the server is stopped
            self.failures.append(error)
            answer = Answer(500, body=f"the test server failed: {type(error).__name__}")
        return answer, replace(request, processed=True)


def _mutated(answer: Answer, fault: Mutate, endpoint: Endpoint) -> Answer:
    """The answer with changed members; one that is no JSON object stays as it is."""
    try:
        members = json.loads(answer.content)
    except ValueError:
        return answer
    if not isinstance(members, dict):
        return answer
    changed = fault.change(members)
    if isinstance(changed, Answer):
        return changed
    endpoint.learn(changed)
    kept = tuple(pair for pair in answer.header_pairs if pair[0].lower() != "content-type")
    return json_answer(answer.status, dict(changed), kept)

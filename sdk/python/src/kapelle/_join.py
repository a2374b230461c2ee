"""A host's registration, repeated after a restart of the server, and its heartbeats. They have a separate
thread, so that a function that blocks the event loop does not lose its lease."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import _wire as wire
from ._http import Pool, TransportError
from ._place import Place
from .context import Attempt, log
from .errors import KapelleError, NotFound, Problem

_BEAT = 2.0
"""Longest interval between heartbeats in seconds, and so the delay of a cancellation where there is no stream."""
_LOOK = 0.4
"""Seconds between looks for new attempts."""
_NEW = 0.3
"""Age of an attempt in seconds at its first heartbeat, which tells the server that it has arrived. Most end sooner."""
_IDLE = 5.0
"""Seconds between heartbeats without attempts: the server notices when a machine vanishes."""
_ANSWER = 5.0
"""Timeout of a heartbeat in seconds: three of them fit into a lease."""


class Membership:
    """Registration of this host."""

    def __init__(self, place: Place, introduction: Mapping[str, Any]) -> None:
        self._place = place
        self._introduction = introduction
        self._lock = threading.Lock()
        self._http = Pool(place.url, place.token, proxies=not place.local)
        self.id = ""
        self.beat_every = _BEAT
        self.leaving = threading.Event()

    def ask(self, call: wire.Call[Any], within: float = wire.ANSWER) -> Any:
        """Sends a request once."""
        try:
            response = self._http.request(call.method, call.target(), call.headers(), call.content(), within)
        except TransportError as error:
            raise wire.unreachable(self._place.url, error) from error
        return wire.read(self._place.url, call, response)

    def join(self, known: str, patient: bool = True) -> None:
        """Registers, unless that was done since `known` was the id. Waits for an unreachable server.

        Raises Problem when the server refuses this host.
        """
        with self._lock:
            told = False
            while self.id == known and not self.leaving.is_set():
                try:
                    raw = self.ask(wire.Call("POST", "/api/v1/hosts", dict, self._introduction))
                    self.beat_every = min(_BEAT, raw["heartbeat_ms"] / 1000)
                    self.id = raw["id"]
                    log.info("%s works for %s", self.id, self._place.url)
                    return
                except Problem as problem:
                    if problem.status not in (408, 429, 503):
                        raise
                    error: KapelleError = problem
                except KapelleError as unreachable:
                    error = unreachable
                if not patient:
                    return
                if not told:
                    log.warning("waiting for the server: %s", error)
                    told = True
                self.leaving.wait(1.0)

    def leave(self) -> None:
        """Unregisters; an unreachable server notices the missing heartbeats."""
        try:
            self.ask(wire.Call("DELETE", f"/api/v1/hosts/{self.id}", lambda raw: raw), _ANSWER)
        except KapelleError:
            pass
        self._http.close()


class Heart:
    """Renews leases, reports progress, and stops cancelled attempts."""

    def __init__(
        self, membership: Membership, attempts: Callable[[], Sequence[Attempt]], stop: Callable[[Attempt], None]
    ) -> None:
        self._membership = membership
        self._attempts = attempts
        self._stop = stop
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="kapelle-heart", daemon=True)

    def start(self) -> None:
        """Starts the heartbeats."""
        self._thread.start()

    def end(self) -> None:
        """Stops the heartbeats."""
        self._over.set()

    def _work(self) -> None:
        missed = 0
        last = time.monotonic()
        while not self._over.wait(min(_LOOK, self._membership.beat_every)):
            attempts = self._attempts()
            now = time.monotonic()
            due = now - last >= (self._membership.beat_every if attempts else _IDLE)
            if not due and not any(not attempt.arrived and now - attempt.since >= _NEW for attempt in attempts):
                continue
            last = now
            try:
                self._beat(attempts)
                missed = 0
            except KapelleError as error:
                missed += 1
                if missed == 2 and attempts:
                    log.warning("heartbeats do not reach the server: %s", error)
            except Exception:
                # After any error the next heartbeat may keep the leases.
                if not self._over.is_set():
                    log.exception("a heartbeat failed")

    def _beat(self, attempts: Sequence[Attempt]) -> None:
        id = self._membership.id
        body = {"tasks": [attempt.beat() for attempt in attempts]}
        try:
            answer = self._membership.ask(wire.Call("POST", f"/api/v1/hosts/{id}/heartbeat", dict, body), _ANSWER)
        except NotFound:
            if not attempts:
                # The host itself registers when it next asks for tasks.
                return
            # A restarted server knows no hosts, but the leases survive: register, and send a heartbeat at once.
            self._membership.join(id, patient=False)
            if self._membership.id == id:
                return
            path = f"/api/v1/hosts/{self._membership.id}/heartbeat"
            answer = self._membership.ask(wire.Call("POST", path, dict, body), _ANSWER)
        unwanted = set(answer["cancel"])
        for attempt in attempts:
            attempt.arrived = True
            if attempt.token in unwanted:
                self._stop(attempt)

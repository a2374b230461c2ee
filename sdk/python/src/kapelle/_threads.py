"""Threads for the functions of a host. They do not keep the process from ending, and are used again."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable

_Job = tuple[str, Callable[[], None], Callable[[], None]]


class Threads:
    """As many threads as functions run at once. Starting one for each took most of the time of a short task."""

    def __init__(self) -> None:
        self._idle: deque[queue.SimpleQueue[_Job | None]] = deque()
        self._closed = False

    def run(self, name: str, work: Callable[[], None], done: Callable[[], None]) -> None:
        """Does `work` in a thread of that name, then `done`. Neither may raise."""
        try:
            jobs = self._idle.pop()
        except IndexError:
            jobs = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(jobs,), daemon=True).start()
        jobs.put((name, work, done))

    def close(self) -> None:
        """Ends the threads that are idle. The others end after their function."""
        self._closed = True
        while self._idle:
            self._idle.pop().put(None)

    def _work(self, jobs: queue.SimpleQueue[_Job | None]) -> None:
        thread = threading.current_thread()
        while job := jobs.get():
            thread.name, work, done = job
            work()
            # Nothing of the task stays in memory while the thread is idle.
            del job, work
            if self._closed:
                done()
                return
            # Before it is told: what that brings finds this thread.
            self._idle.append(jobs)
            done()
            del done

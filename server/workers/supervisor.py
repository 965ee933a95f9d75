"""Several processes behind one address, each a complete server with models of its own.

    clients ─→ supervisor ── descriptors ─→ worker 1, worker 2, …
                   └── starts them, and starts again who dies

The supervisor accepts, reads nothing, and passes each connection to the worker with the fewest.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, resource_tracker
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from npc.config import Server as ServerSettings
from npc.errors import NpcError
from npc.events import SessionStart
from npc.server.address import bound, cannot_listen, url_of
from npc.server.metrics import serve_metrics

from .balance import by_load, shares
from .channel import Channel, Failed, Introduction, News, Ready
from .passing import check_passing, pass_on
from .post import Post
from .tally import Tally

log = logging.getLogger(__name__)

BACKLOG = 100
ACCEPT_AGAIN_S = 0.1
"""After no connection could be accepted, as when the process has no descriptors left."""
LOOK_S = 5.0
"""How often each worker is asked whether it is there."""
HUNG_S = 20.0
"""After so long without an answer a worker is killed: nobody has heard anything from it by then."""
END_S = 15.0
"""How long a worker may take to end, before it is killed."""


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    channel: Channel
    connections: socket.socket
    n_passed: int = 0
    is_ready: bool = False
    error: NpcError | None = None


class Supervisor:
    """Serves `settings.host` and `.port` with `n_workers` processes, in each of which `work` is called.

    Entering waits until all of them are ready. It raises ConfigError when it cannot listen, and when one of them
    could not start, what that one raised.
    """

    def __init__(self, work: Callable[[Post], None], settings: ServerSettings, n_workers: int) -> None:
        self.characters: tuple[Introduction, ...] = ()
        """Those of every worker; known once they are ready."""
        self._work = work
        self._settings = settings
        self._seats = shares(settings.max_sessions, n_workers)
        self._tally = Tally(n_workers)
        self._workers: dict[int, _Worker] = {}
        self._listening: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._tending: list[asyncio.Task[None]] = []
        self._are_ready = asyncio.Event()
        self._given_up: NpcError | None = None
        self._has_given_up = asyncio.Event()
        self._ending = asyncio.Event()
        self._open = contextlib.ExitStack()
        self._metrics_folder: str | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._listening[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return url_of(self._settings.host, self.port)

    async def __aenter__(self) -> Self:
        settings = self._settings
        check_passing(len(self._seats))
        try:
            self._listening = await bound(settings.host, settings.port)
            if settings.metrics_port:
                self._serve_metrics()
            self._tending = [asyncio.create_task(self._tend(worker)) for worker in range(len(self._seats))]
            await self.until(self._are_ready.wait())
            for each in self._listening:
                try:
                    each.listen(BACKLOG)
                except OSError as error:
                    raise cannot_listen(error, settings.host, settings.port, "port") from error
                self._accepting.append(asyncio.create_task(self._accept(each)))
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end()

    async def until(self, ending: Awaitable[object]) -> None:
        """Return with `ending`. Raises what ended the last worker, or kept one from starting, when that comes first."""
        waiting = [asyncio.ensure_future(ending), asyncio.ensure_future(self._has_given_up.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._given_up is not None:
                raise self._given_up
            waiting[0].result()
        finally:
            for each in waiting:
                each.cancel()

    def _serve_metrics(self) -> None:
        """Of all workers together, from the files in which prometheus_client's processes keep their numbers."""
        self._metrics_folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="npc-metrics-"))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, self._metrics_folder)  # type: ignore[no-untyped-call]
        self._open.callback(serve_metrics(registry, self._settings.host, self._settings.metrics_port))

    # Connections

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("a connection could not be accepted: %s", error)
                await asyncio.sleep(ACCEPT_AGAIN_S)
                continue
            with connection:
                with contextlib.suppress(OSError):  # the client has gone again
                    # where a socket cannot tell its protocol, the worker's event loop would leave it out
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pass_on(connection)

    def _pass_on(self, connection: socket.socket) -> None:
        n_open = {
            number: worker.n_passed - self._tally.n_over[number]
            for number, worker in self._workers.items()
            if self._tally.is_ready[number]
        }
        for number in by_load(n_open, self._seats):
            try:
                pass_on(connection, self._workers[number].connections)
            except OSError:  # it has just ended, or has long not taken any
                continue
            self._workers[number].n_passed += 1
            return
        log.warning("a connection was turned away: no worker takes it")

    async def _find(self, asking: int, start: SessionStart) -> bytes | None:
        """The talk that a session of worker `asking` takes up, from whichever has it."""
        others = [worker for number, worker in self._workers.items() if number != asking and worker.is_ready]
        for found in await asyncio.gather(*(worker.channel.ask(start) for worker in others)):
            if found is not None:
                return found
        return None

    # Processes

    async def _tend(self, number: int) -> None:
        """Start a worker, and start it again when it dies."""
        while not self._ending.is_set():
            try:
                worker = self._workers[number] = await self._spawn(number)
            except Exception as error:  # a boundary: whatever it is, nobody else would tell
                self._give_up(number, NpcError(f"worker {number + 1} could not be started: {error}"))
                return
            if self._ending.is_set():  # it was told to all that were there
                worker.process.terminate()
            watching = asyncio.create_task(self._watch(number, worker))
            await worker.channel.run(partial(self._find, number), partial(self._notice, number, worker))
            watching.cancel()
            how = await self._bury(number, worker)
            if self._ending.is_set():
                return
            if not worker.is_ready:
                unsaid = NpcError(f"worker {number + 1} {how} before it was ready; what it said is above")
                self._give_up(number, worker.error or unsaid)
                return
            log.error("worker %d %s, and its sessions with it; it is started again", number + 1, how)

    async def _spawn(self, number: int) -> _Worker:
        ours, theirs = socket.socketpair()
        passing, taking = socket.socketpair()
        passing.setblocking(False)
        taking.setblocking(False)
        process = get_context("spawn").Process(
            target=self._work,
            args=(Post(number, len(self._seats), theirs, taking, self._settings, self._tally),),
            name=f"npc worker {number + 1}",
            daemon=True,  # whatever ends this process ends it
        )
        with theirs, taking, _environment("PROMETHEUS_MULTIPROC_DIR", self._metrics_folder), _deaf_to_ctrl_c():
            process.start()
        return _Worker(process, await Channel.open(ours), passing)

    def _notice(self, number: int, worker: _Worker, news: News) -> None:
        match news:
            case Ready(characters=characters):
                worker.is_ready = True
                if self._are_ready.is_set():
                    log.info("worker %d is ready", number + 1)
                self.characters = characters
                if len(self._workers) == len(self._seats) and all(each.is_ready for each in self._workers.values()):
                    self._are_ready.set()
            case Failed(error=error):
                worker.error = error

    async def _watch(self, number: int, worker: _Worker) -> None:
        """See to it that one whose event loop stands still ends, and so is started again."""
        while True:
            await asyncio.sleep(LOOK_S)
            if worker.is_ready and not await worker.channel.is_answered(HUNG_S):
                log.error("worker %d has not answered for %g s and is killed", number + 1, HUNG_S)
                worker.process.kill()
                return

    async def _bury(self, number: int, worker: _Worker) -> str:
        """Once it has hung up: see to it that it ends, and that nobody counts on it. How it ended, in words."""
        self._tally.is_ready[number] = 0
        await asyncio.to_thread(worker.process.join, END_S)
        if worker.process.exitcode is None:
            log.warning("worker %d did not end within %g s and is killed", number + 1, END_S)
            worker.process.kill()
            await asyncio.to_thread(worker.process.join)
        del self._workers[number]
        worker.connections.close()
        self._tally.clear(number)
        if self._metrics_folder is not None:
            mark_process_dead(worker.process.pid, self._metrics_folder)  # type: ignore[no-untyped-call]
        code = worker.process.exitcode or 0
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _give_up(self, number: int, error: NpcError) -> None:
        """Without this worker: all of it as long as not all have been ready, else only when no other is left."""
        if self._are_ready.is_set() and self._workers:
            log.error("worker %d could not be started again (%s); the others go on", number + 1, error)
            return
        if self._given_up is None:
            self._given_up = error
            self._has_given_up.set()

    async def _end(self) -> None:
        self._ending.set()
        for task in self._accepting:
            task.cancel()
        for listening in self._listening:
            listening.close()
        for worker in self._workers.values():
            if worker.is_ready:
                worker.channel.close()
            else:
                worker.process.terminate()
        await asyncio.gather(*self._tending, return_exceptions=True)
        await asyncio.to_thread(self._open.close)


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """What is started meanwhile: Ctrl-C reaches all processes of a terminal, and this one tells the others.

    One that comes meanwhile reaches this process afterwards.
    """
    resource_tracker.ensure_running()  # it starts with the first process, and undoes this
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    """For what is started meanwhile; prometheus_client looks there once, when it is imported."""
    before = os.environ.get(name)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        if value is not None:
            del os.environ[name]
            if before is not None:
                os.environ[name] = before

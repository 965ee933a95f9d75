"""Prometheus metrics: who is here, how turns went, where their time goes, what went wrong.

Everything is read off the events that leave, so that the engine knows nothing of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from npc.events import ActionEvent, ErrorEvent, ReplyEnded, ServerEvent, TurnMetrics
from npc.frames import AudioFrame

from .address import cannot_listen

STAGE_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10)


class Metrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._sessions = Gauge("npc_sessions", "Sessions that are open", registry=registry, multiprocess_mode="livesum")
        self._sessions_total = Counter("npc_sessions_opened", "Sessions that were opened", registry=registry)
        self._turns = Counter("npc_turns", "Replies, by how they ended", ["reason"], registry=registry)
        self._actions = Counter("npc_actions", "Actions that characters took", ["action"], registry=registry)
        self._errors = Counter("npc_errors", "Errors that clients were told", ["code"], registry=registry)
        self._voice_to_voice = Histogram(
            "npc_voice_to_voice_seconds",
            "From the player's last speech sample to the reply's first audio leaving",
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        self._stages = Histogram(
            "npc_stage_seconds", "Time in a stage of a turn", ["stage"], buckets=STAGE_BUCKETS_S, registry=registry
        )

    @contextmanager
    def session(self) -> Iterator[None]:
        self._sessions_total.inc()
        with self._sessions.track_inprogress():
            yield

    def sent(self, item: ServerEvent | AudioFrame) -> None:
        match item:
            case ReplyEnded(reason=reason):
                self._turns.labels(reason).inc()
            case ActionEvent(name=name):
                self._actions.labels(name).inc()
            case ErrorEvent(code=code):
                self._errors.labels(code).inc()
            case TurnMetrics(voice_to_voice_ms=voice_to_voice_ms, spans=spans):
                if voice_to_voice_ms is not None:
                    self._voice_to_voice.observe(voice_to_voice_ms / 1000)
                for span in spans:
                    self._stages.labels(span.name).observe((span.end_ms - span.start_ms) / 1000)
            case _:
                pass


def serve_metrics(registry: CollectorRegistry, host: str, port: int) -> Callable[[], None]:
    """Answer scrapes on a thread of their own; gives what ends it. Raises ConfigError when the port is taken."""
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise cannot_listen(error, host, port, "metrics_port") from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop

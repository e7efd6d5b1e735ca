"""Every metric, with its help and its labels. Labels are bounded: never a link, a code, a recipient or a URL.

Each process counts for itself. The processes that `serve` runs share their numbers (`metric_files.py`), and whichever
of them is asked answers for all.
"""

import atexit
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from redirector import metric_files

# From the fastest redirect to the recording deadline and ten times that.
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


_shared: Final = metric_files.begin()  # before the first metric is made


class _TalliedHistogram(Histogram):
    """A histogram that observes in plain numbers, and hands them on a few times a second.

    Observing in what the processes share takes 1.3 us, this 0.4; `hand_on`, below, is for all of them.
    """

    def _metric_init(self) -> None:
        super()._metric_init()
        self._begin()

    def _begin(self) -> None:
        self._observed = [0] * len(self._upper_bounds)
        self._total = 0.0

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:  # noqa: ARG002 - none are kept
        """One more."""
        self._observed[bisect_left(self._upper_bounds, amount)] += 1
        self._total += amount

    def hand_on(self) -> None:
        """Everything observed so far stands in the metrics when this returns."""
        observed, total = self._observed, self._total
        self._begin()
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, observed, strict=True):
            if count:
                bucket.inc(count)


class _Redirects:
    """Redirects by outcome, and how long they took: counted in plain numbers as well.

    Counting each in what the processes share takes 5 us; this takes 0.4 us.
    """

    def __init__(self) -> None:
        self._redirects = Counter(
            "redirector_redirects",
            "Requests of tracked URLs and their untracked twins, by what became of them.",
            ["outcome"],
        )
        self._durations = _TalliedHistogram(
            "redirector_redirect_duration_seconds",
            "From a request's head to the moment its answer is handed to the network.",
            buckets=SECONDS,
        )
        self._by_outcome: dict[str, int] = {}

    def expect(self, outcomes: Iterable[str]) -> None:
        """These outcomes stand in the metrics from now on: Prometheus does not see an increase from nothing."""
        for outcome in outcomes:
            self._redirects.labels(outcome)

    def count(self, outcome: str, seconds: float) -> None:
        """One more."""
        self._by_outcome[outcome] = self._by_outcome.get(outcome, 0) + 1
        self._durations.observe(seconds)

    def hand_on(self) -> None:
        """Everything counted so far stands in the metrics when this returns."""
        counted, self._by_outcome = self._by_outcome, {}
        for outcome, count in counted.items():
            self._redirects.labels(outcome).inc(count)
        self._durations.hand_on()


class ProcessorTime:
    """The processor time of this process, from its start: that of the role that it plays."""

    def __init__(self, role: str) -> None:
        self._seconds = CPU_SECONDS.labels(role)
        self._handed_on = 0.0

    def hand_on(self) -> None:
        """All of it up to now stands in the metrics when this returns."""
        used = time.process_time()
        self._seconds.inc(used - self._handed_on)
        self._handed_on = used


REDIRECTS: Final = _Redirects()
RECORD_SECONDS: Final = _TalliedHistogram(
    "redirector_record_duration_seconds", "How long a batch of clicks takes to be acknowledged.", buckets=SECONDS
)
RECORD_BATCH: Final = _TalliedHistogram(
    "redirector_record_batch_clicks",
    "How many clicks go to the store together.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
CLICKS_LOST: Final = Counter(
    "redirector_clicks_lost",
    "Clicks whose readers were redirected, but that may not be in the stream, by the reason.",
    ["reason"],
)
CLICKS_SPOOLED: Final = Counter(
    "redirector_clicks_spooled", "Clicks that went to the disk, because the store did not take them in time."
)
CLICKS_REPLAYED: Final = Counter("redirector_clicks_replayed", "Clicks that went from the disk to the store.")
SPOOL_CLICKS: Final = Gauge(
    "redirector_spool_clicks", "Clicks on the disk that the store has yet to take.", multiprocess_mode="livesum"
)
API_REFUSALS: Final = Counter(
    "redirector_api_refusals", "Requests of the API with a wrong key, or with more of them than may be.", ["reason"]
)
LINKS_MINTED: Final = Counter("redirector_links_minted", "Links that were made; asking for one again makes none.")
MAILS_SENT: Final = Counter(
    "redirector_mails_sent", "Mails that campaigns were told to be sent with, over the API: a rise is a send."
)
CONSUMER_LAG: Final = Gauge(
    "redirector_consumer_lag_clicks",
    "Clicks in the stream that the consumer has yet to count.",
    ["consumer"],
    multiprocess_mode="livemax",
)
CLICKS_HELD: Final = Gauge(
    "redirector_clicks_held",
    "Clicks that wait for their class to be final; they are not counted as the consumer's lag.",
    multiprocess_mode="livemax",
)
CLICKS_UNCOUNTED: Final = Counter(
    "redirector_clicks_uncounted",
    "Entries of the stream that were passed over: set aside, or trimmed away before they were counted.",
    ["reason"],
)
RETENTION: Final = Gauge(
    "redirector_retention_seconds",
    "How long this is kept; what is kept for good is not among them.",
    ["data"],
    multiprocess_mode="livemax",
)
OLDEST_AGE: Final = Gauge(
    "redirector_oldest_age_seconds",
    "How old the oldest of it is that is kept; 0 when there is none.",
    ["data"],
    multiprocess_mode="livemax",
)
OPTED_OUT: Final = Gauge(
    "redirector_opted_out",
    "Clickers of whom nothing is recorded because they asked for that, recipients and visitors of the last two days.",
    ["kind"],
    multiprocess_mode="livemax",
)
ERASURES_WAITING: Final = Gauge(
    "redirector_erasures_waiting",
    "Erasures that were asked for and are not through: of a recipient one, of a visitor two, today's and yesterday's.",
    multiprocess_mode="livemax",
)
ERASURE_WAIT: Final = Gauge(
    "redirector_erasure_wait_seconds",
    "How long the first of the erasures that are not through has waited; 0 when there is none.",
    multiprocess_mode="livemax",
)
ENTRIES_ERASED: Final = Counter(
    "redirector_clicks_erased", "Clicks that left the stream because they were to be erased."
)
STORE_UP: Final = Gauge("redirector_store_up", "Whether the store answers (1) or not (0).", multiprocess_mode="livemin")
STORE_KEEPS: Final = Gauge(
    "redirector_store_keeps",
    "Whether the store keeps (1) or may lose (0) its writes when it dies, and its keys when its memory is full.",
    ["what"],
    multiprocess_mode="livemin",
)
STORE_MEMORY: Final = Gauge(
    "redirector_store_memory_bytes",
    "Memory that the store has used, and its limit, where it has one.",
    ["of"],
    multiprocess_mode="livemax",
)
PROCESSES: Final = Gauge(
    "redirector_processes", "Processes that play this role at the moment.", ["role"], multiprocess_mode="livesum"
)
CPU_SECONDS: Final = Counter("redirector_cpu_seconds", "Processor time of the processes that play this role.", ["role"])
BUILD_INFO: Final = Gauge(
    "redirector_build_info", "Always 1; the labels say what is running.", ["version"], multiprocess_mode="livemax"
)

# Counted in the store, not here: the same from every process that is asked, and across restarts.
TOPIC_CLICKS: Final = ("redirector_topic_clicks", "Clicks on links of a topic, by class.", ("topic", "class"))
CLICKS: Final = ("redirector_clicks", "Clicks, by class.", ("class",))


def hand_on() -> None:
    """What was counted in plain numbers stands in the metrics when this returns.

    The role calls it a few times a second, whoever asks this process for its metrics, and its end.
    """
    for tallied in (REDIRECTS, RECORD_SECONDS, RECORD_BATCH):
        tallied.hand_on()


atexit.register(hand_on)


class _Counted(Collector):
    """The counters of the store at one moment."""

    def __init__(self, by_topic: Mapping[tuple[str, str], int], totals: Mapping[str, int]) -> None:
        self._by_topic = by_topic
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        yield _family(TOPIC_CLICKS, self._by_topic.items())
        yield _family(CLICKS, (((class_,), count) for class_, count in self._totals.items()))


def _family(
    metric: tuple[str, str, tuple[str, ...]], samples: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    name, help_text, labels = metric
    family = CounterMetricFamily(name, help_text, labels=labels)
    for label_values, count in samples:
        family.add_metric(label_values, count)
    return family


def exposition(
    accept: str, counted: tuple[Mapping[tuple[str, str], int], Mapping[str, int]] | None
) -> tuple[bytes, str]:
    """All metrics and their content type, as Prometheus text or OpenMetrics, whichever `accept` asks for.

    `counted` holds the store's counters by (topic, class) and by class; None, when it cannot be had, leaves them out:
    a gap is true, a zero would not be.
    """
    hand_on()
    registry = CollectorRegistry()
    if _shared and Path(_shared).is_dir():
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the package leaves it untyped
    else:
        registry.register(REGISTRY)
    if counted is not None:
        registry.register(_Counted(*counted))
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # it asks for a version that is no number
        encode, content_type = choose_encoder("")
    return encode(registry), content_type

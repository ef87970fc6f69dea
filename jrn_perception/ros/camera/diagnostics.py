# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The status on /diagnostics: counters, timings, and a verdict with its reason."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import threading
from time import monotonic

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from jrn_perception.ros.network.configuration import Configuration
from jrn_perception.ros.network.governing import RungReport
from jrn_perception.ros.parameters.settings import Settings
from jrn_perception.ros.range.correction import CorrectionReport
import numpy as np
from rclpy.node import Node
from rclpy.qos import qos_check_compatible, QoSCompatibility
from rclpy.subscription import Subscription

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
WINDOW_S = 5.0
INACTIVE = {
    'unconfigured': 'unconfigured: the lifecycle manager has not configured the node',
    'inactive': 'inactive: the network is loaded, and the lifecycle manager has not activated it',
    'finalized': 'finalized: shut down by the lifecycle manager'}
STAGES = ('preprocess_ms', 'inference_ms', 'postprocess_ms', 'publish_ms')


@dataclass(frozen=True)
class Timing:
    """Milliseconds that one frame took in each stage, and from its stamp to its publication."""

    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    publish_ms: float
    latency_ms: float

    @property
    def processing_ms(self) -> float:
        return sum(getattr(self, stage) for stage in STAGES)


@dataclass
class Statistics:
    """
    Counters since the start, and the events of the last ``WINDOW_S`` seconds.

    The executor's thread counts arrivals, the worker's thread results.
    """

    processed: int = 0
    dropped: int = 0
    rejected: int = 0
    failed: int = 0
    outputs_failed: int = 0
    last_rejection: str = ''
    last_failure: str = ''
    clock_fault: str = ''
    camera_info_fault: str = ''
    depth_fault: str = ''
    output_fault: str = ''
    correction: CorrectionReport = CorrectionReport()
    rung: RungReport = RungReport()
    sensor_fault: str = ''
    influence: tuple[float, float] | None = None
    last_arrival: float = field(default_factory=monotonic)
    _arrivals: deque = field(default_factory=lambda: deque(maxlen=1000))
    _offers: deque = field(default_factory=lambda: deque(maxlen=1000))
    _drops: deque = field(default_factory=lambda: deque(maxlen=1000))
    _rejections: deque = field(default_factory=lambda: deque(maxlen=1000))
    _timings: deque = field(default_factory=lambda: deque(maxlen=1000))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arrive(self) -> None:
        with self._lock:
            self.last_arrival = monotonic()
            self._arrivals.append(self.last_arrival)

    def offer(self) -> None:
        with self._lock:
            self._offers.append(monotonic())

    def drop(self) -> None:
        with self._lock:
            self.dropped += 1
            self._drops.append(monotonic())

    def reject(self, reason: str) -> None:
        with self._lock:
            self.rejected += 1
            self.last_rejection = reason
            self._rejections.append(monotonic())

    def fail(self, reason: str) -> None:
        with self._lock:
            self.failed += 1
            self.last_failure = reason

    def miss_outputs(self, reasons: Mapping[str, str]) -> None:
        """Note why outputs of a frame are missing, by name; none if all were published."""
        with self._lock:
            self.outputs_failed += len(reasons)
            self.output_fault = '; '.join(f'output {name} fails: {reason}'
                                          for name, reason in reasons.items())

    def finish(self, timing: Timing) -> None:
        with self._lock:
            self.processed += 1
            self.last_failure = ''
            self._timings.append((monotonic(), timing))

    def recent(self) -> Recent:
        """Return the counts and timings of the window."""
        since = monotonic() - WINDOW_S
        with self._lock:
            return Recent(
                sum(time > since for time in self._arrivals),
                sum(time > since for time in self._offers),
                sum(time > since for time in self._drops),
                sum(time > since for time in self._rejections),
                [timing for time, timing in self._timings if time > since])


@dataclass(frozen=True)
class Recent:
    """
    Counts and timings of the last ``WINDOW_S`` seconds.

    ``offers``: arrivals that were due, whether they were processed or dropped later.
    """

    arrivals: int
    offers: int
    drops: int
    rejections: int
    timings: list[Timing]

    def mean(self, name: str) -> float:
        """Return the mean of a timing's attribute, NaN without a frame."""
        values = [getattr(timing, name) for timing in self.timings]
        return float(np.mean(values)) if values else float('nan')

    def processing(self) -> tuple[float, float, float]:
        """Return mean, 95th percentile and maximum of a frame's processing time in ms."""
        values = [timing.processing_ms for timing in self.timings]
        if not values:
            return (float('nan'),) * 3
        return float(np.mean(values)), float(np.percentile(values, 95)), float(max(values))


@dataclass(frozen=True)
class Activity:
    """
    The state of a camera stream at the time of a status.

    ``wanted_for``: seconds since an output was first wanted, negative while none is; ``idle``:
    why none is wanted. ``busy_for``: seconds that the current frame has been processed.
    ``explain`` returns why no frame may be arriving; it is called only in that case. ``active``:
    the state of the node's lifecycle.
    """

    wanted_for: float
    busy_for: float
    idle: str
    explain: Callable[[], str]
    active: bool = True


def judge(settings: Settings, statistics: Statistics, recent: Recent,
          activity: Activity) -> tuple[bytes, str, str]:
    """Return (level, state, message) of the status."""
    if not activity.active:
        return OK, 'inactive', INACTIVE['inactive']
    if not settings.enabled:
        return OK, 'disabled', 'disabled: set enabled to true or call ~/enable'
    if activity.wanted_for < 0:
        return OK, 'idle', f'idle: {activity.idle}'
    # A network that is always slow is not stuck. Without timings the maximum is NaN, which
    # ``max`` ignores in second place.
    patience = max(settings.max_silence_s, 2 * recent.processing()[2] / 1000)
    if activity.busy_for > patience:
        return ERROR, 'stuck', (f'a frame has been in progress for {activity.busy_for:.1f} s, '
                                f'longer than max_silence_s ({settings.max_silence_s:g}); if this '
                                'lasts, restart the node')
    if statistics.last_failure:
        return ERROR, 'failing', f'processing fails: {statistics.last_failure}'
    silent_for = min(monotonic() - statistics.last_arrival, activity.wanted_for)
    if silent_for > settings.max_silence_s:
        return ERROR, 'silent', f'no frame for {silent_for:.1f} s: {activity.explain()}'
    if recent.rejections and not recent.timings:
        return ERROR, 'rejecting', f'every frame is rejected: {statistics.last_rejection}'
    if faults := _warnings(settings, statistics, recent):
        return WARN, 'running', '; '.join(faults)
    if recent.timings:
        return OK, 'running', 'frames flow'
    return OK, 'running', f'waiting for the {"next" if statistics.processed else "first"} frame'


def _warnings(settings: Settings, statistics: Statistics, recent: Recent) -> list[str]:
    """Return everything that is wrong while frames flow: one fault must not hide another."""
    faults = []
    if recent.drops > recent.offers / 2:
        faults.append(f'{recent.drops} of {recent.offers} frames dropped: the camera is faster '
                      'than the network')
    mean = recent.processing()[0]
    if mean > settings.max_processing_time_ms:
        faults.append(f'a frame takes {mean:.0f} ms, more than max_processing_time_ms '
                      f'({settings.max_processing_time_ms:g})')
    return faults + [fault for fault in (
        statistics.rung.fault, statistics.clock_fault, statistics.camera_info_fault,
        statistics.correction.fault, statistics.depth_fault, statistics.output_fault,
        statistics.sensor_fault) if fault]


def identify(configuration: Configuration) -> dict[str, object]:
    """Return which network processes the frames, where, and the GPU memory that it holds."""
    settings, perception, _ = configuration
    return {
        # Of the rung in use, if max_latency_ms has chosen one.
        'architecture': perception.card.architecture,
        'variant': perception.card.variant,
        'mute': settings.mute,
        'mute_effect': configuration.mute_effect(),
        **_sources(configuration),
        'weights': perception.source,
        'weights_sha256': perception.card.sha256,
        'device': perception.device,
        'precision': perception.precision,
        'backend': perception.backend_name,
        # Why better backends are not used.
        'backends_refused': '; '.join(perception.warnings),
        'gpu_memory_mb': perception.gpu_memory_mb()}


def _sources(configuration: Configuration) -> dict[str, object]:
    """Return both sources of a JRN's inputs, models with their licence and digest."""
    settings, perception, _ = configuration
    if perception.inputs is None:
        return {'depth_source': settings.depth_source,
                'semantics_source': settings.semantics_source}
    return {f'{task}_source': name for task, name in perception.inputs.describe().items()}


def summarise(statistics: Statistics, recent: Recent) -> dict[str, object]:
    """Return the numbers of the status; rates over the window, NaN where nothing was measured."""
    mean, p95, largest = recent.processing()
    depth, semantics = statistics.influence or (float('nan'),) * 2
    return {
        'rate_in_hz': recent.arrivals / WINDOW_S,
        'rate_out_hz': len(recent.timings) / WINDOW_S,
        'frames_processed': statistics.processed,
        'frames_dropped': statistics.dropped,
        'frames_rejected': statistics.rejected,
        'frames_failed': statistics.failed,
        'outputs_failed': statistics.outputs_failed,
        **{stage: recent.mean(stage) for stage in STAGES},
        'processing_time_ms_mean': mean,
        'processing_time_ms_p95': p95,
        'processing_time_ms_max': largest,
        'pipeline_latency_ms': recent.mean('latency_ms'),
        'influence_depth_m': depth,
        'influence_semantics': semantics,
        **statistics.rung.values(),
        **statistics.correction.values()}


def report(name: str, settings: Settings, running: Configuration, statistics: Statistics,
           activity: Activity) -> DiagnosticStatus:
    """
    Return the status ``name``, which is ``status_name``'s.

    ``settings`` are the latest, which ``running`` takes over between two frames.
    """
    recent = statistics.recent()
    level, state, message = judge(settings, statistics, recent, activity)
    for effect in (running.mute_effect(), statistics.rung.effect):
        if state == 'running' and effect not in message:
            message = f'{message}; {effect}'
    numbers = summarise(statistics, recent)
    if activity.wanted_for < 0:  # The node does not read images, so it cannot know their rate.
        numbers['rate_in_hz'] = float('nan')
    return DiagnosticStatus(
        level=level, name=name, message=message,
        hardware_id=str(running.perception.device),
        values=key_values({'state': state, **identify(running), **numbers}))


def without_network(name: str, state: str) -> DiagnosticStatus:
    """Return the status ``name`` in a state of the node's lifecycle without a network."""
    return DiagnosticStatus(level=OK, name=name, message=INACTIVE[state],
                            values=key_values({'state': state}))


def status_name(node: str, camera: str = '') -> str:
    """Return the name of the status of a camera of ``node``, a fully qualified name."""
    return f'{node[1:]}: perception {camera}'.rstrip()


def explain_silence(node: Node, subscription: Subscription) -> str:
    """Return in one line who publishes the images, and why none may be arriving."""
    topic = subscription.topic_name
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        return f'nobody publishes {topic}; check the remapping of the image topic'
    line = f'{len(publishers)} publisher{"s" if len(publishers) > 1 else ""} on {topic}'
    wanted = f'sensor_msgs/msg/{subscription.msg_type.__name__}'
    for publisher in publishers:
        if publisher.topic_type != wanted:
            return (f'{line}; {publisher.node_name} publishes {publisher.topic_type}, not '
                    f'{wanted}: check image_transport')
        compatibility, reason = qos_check_compatible(publisher.qos_profile,
                                                     subscription.qos_profile)
        if compatibility == QoSCompatibility.ERROR:
            return f'{line}; QoS of {publisher.node_name} does not match: {reason}'
    return (f'{line} but nothing arrives: a stopped camera, or frames lost in shared memory (see '
            'fastdds.xml in the README)')


def key_values(values: dict[str, object]) -> list[KeyValue]:
    """Return diagnostic key-value pairs; floats get three decimals, below 1 three digits."""
    def text(value: object) -> str:
        if not isinstance(value, float):
            return str(value)
        return f'{value:.3g}' if abs(value) < 1 else f'{value:.3f}'

    return [KeyValue(key=key, value=text(value)) for key, value in values.items()]

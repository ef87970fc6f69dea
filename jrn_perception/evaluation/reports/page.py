# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The evaluation of a recording as one self-contained HTML file: ``page.html`` filled in."""

from __future__ import annotations

import base64
from collections.abc import Iterator
import io
from pathlib import Path
from typing import Any, NamedTuple

import cv2
from jinja2 import Environment, PackageLoader, StrictUndefined
from jrn_perception.drawing import colourise_depth, depth_limits, overlay
from jrn_perception.evaluation.measures.series import curve
from jrn_perception.evaluation.recordings.session import BagEvaluation
from jrn_perception.evaluation.recordings.totals import Measured
from jrn_perception.evaluation.reports.bag_document import measures
from jrn_perception.evaluation.reports.rows import headline, recording_tables
from jrn_perception.labels import FOLDS, LabelSet, map_labels
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
import numpy as np

TEMPLATE = 'page.html'
# Pixels and JPEG quality of the pictures.
WIDTH = 320
QUALITY = 80
TRACES = {'rel': 'rel', 'pixel_accuracy': 'pixel accuracy (%)',
          'depth_drift': 'median change of depth', 'label_drift': 'share of labels that change',
          'inference_ms': 'inference (ms)'}


class WorstFrame(NamedTuple):
    """A worst frame of the report: its title, and captions with inline pictures."""

    title: str
    pictures: list[tuple[str, str]]


def write_html(evaluation: BagEvaluation, document: dict[str, Any], clock: dict[str, Any],
               path: Path) -> None:
    """Write the report of a recording's ``bag_document`` and its ``timings``."""
    network = document['network']
    page = fill(
        TEMPLATE,
        title=f'{document["source"]["recording"]} – {network["architecture"]} '
              f'{network["variant"]}',
        headline=headline(document), document=document,
        tables=recording_tables(document, clock), plots=list(_plots(evaluation, document)),
        worst=list(_worst(evaluation)), legend=_legend(evaluation.totals.labels, document))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding='utf-8')
    except OSError as error:
        raise OSError(f'{path}: {error.strerror}') from error


def _plots(evaluation: BagEvaluation, document: dict[str, Any]) -> Iterator[str]:
    frames = evaluation.totals.frames
    for name, values in evaluation.totals.traces.items():
        points, stride = curve(values)
        if not np.isfinite(points).any():
            continue
        figure, axes = _figure()
        places = np.minimum((np.arange(len(points)) + 0.5) * stride, frames)
        axes.plot(places, points, '.-' if len(points) < 60 else '-', linewidth=1, color='#2a6fb0')
        axes.set(xlabel='frame' + (f' (means of {stride})' if stride > 1 else ''),
                 title=TRACES[name])
        axes.set_ylim(0, 1.08 * np.nanmax(points) or 1)
        if name.endswith('drift'):
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        yield _svg(figure)
    if 'semantics' in document:
        shares = {name: share for name, share in document['semantics']['classes'].items() if share}
        names = sorted(shares, key=shares.get)[-15:]
        labels = evaluation.totals.labels
        colours = [np.array(labels.colours[labels.names.index(name)]) / 255 for name in names]
        figure, axes = _figure()
        axes.barh(names, [shares[name] for name in names], color=colours, edgecolor='#444',
                  linewidth=0.5)
        axes.set(title='share of the predicted classes')
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        yield _svg(figure)


def fill(template: str, **content: Any) -> str:
    """Return a template of this folder with its content."""
    # Names of topics, classes and files come from outside: all text is escaped.
    environment = Environment(
        loader=PackageLoader('jrn_perception.evaluation.reports', '.'), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template).render(**content)


def _figure() -> tuple[Figure, Any]:
    figure = Figure(figsize=(5.2, 2.8), layout='constrained')
    axes = figure.add_subplot()
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(alpha=0.3)
    return figure, axes


def _svg(figure: Figure) -> str:
    """Return the figure as an SVG, inline."""
    file = io.BytesIO()
    # Without dates and random ids: the same plot is the same text.
    with rc_context({'svg.hashsalt': 'jrn_perception', 'font.size': 9}):
        FigureCanvasSVG(figure).print_svg(file, metadata={'Date': None, 'Creator': None})
    return inline(file.getvalue(), 'svg+xml')


def _worst(evaluation: BagEvaluation) -> Iterator[WorstFrame]:
    for name in measures(evaluation.totals):
        for rank, worst in enumerate(evaluation.totals.worst[name].ranked(), 1):
            yield WorstFrame(
                f'{TRACES[name]}, worst {rank}: {worst.score:.4g} at {worst.name}',
                [(caption, inline(data, 'jpeg'))
                 for caption, data in jpegs(worst.content, evaluation)])


def jpegs(measured: Measured, evaluation: BagEvaluation) -> list[tuple[str, bytes]]:
    """Return the pictures of a frame, its predictions and its truth: captions and JPEG files."""
    return [(caption, _jpeg(picture)) for caption, picture in _pictures(measured, evaluation)]


def _pictures(measured: Measured,
              evaluation: BagEvaluation) -> Iterator[tuple[str, np.ndarray]]:
    """Yield captions and uint8 pictures: the camera's, then predictions beside the truth."""
    frame, labels = measured.frame, evaluation.totals.labels
    height, width = frame.rgb.shape[:2]
    size = WIDTH, max(1, round(WIDTH * height / width))
    picture = cv2.resize(frame.rgb, size, interpolation=cv2.INTER_AREA)

    def small(array: np.ndarray) -> np.ndarray:
        return cv2.resize(array, size, interpolation=cv2.INTER_NEAREST)

    yield 'picture', picture
    if measured.depth is not None:
        both = measured.depth if frame.depth is None else np.stack((measured.depth, frame.depth))
        low, high = depth_limits(both)
        yield (f'depth, {low:g} to {high:g} m',
               colourise_depth(small(measured.depth), low, high))
        if frame.depth is not None:
            yield 'true depth', colourise_depth(small(frame.depth), low, high)
    if measured.labels is not None:
        yield 'labels', overlay(picture, small(measured.labels), labels, 0.6)
        if frame.labels is not None and evaluation.labels:
            pair = evaluation.ids.labels.name, labels.name
            true = map_labels(frame.labels, FOLDS.get(pair, np.arange(len(labels))))
            yield 'true labels', overlay(picture, small(true), labels, 0.6)


def _legend(labels: LabelSet | None,
            document: dict[str, Any]) -> list[tuple[str, tuple[int, int, int]]]:
    """Return name and colour of each class that was predicted."""
    if labels is None:
        return []
    shares = document['semantics']['classes']
    return [(name, colour) for name, colour in zip(labels.names, labels.colours) if shares[name]]


def _jpeg(rgb: np.ndarray) -> bytes:
    return cv2.imencode('.jpg', rgb[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1].tobytes()


def inline(data: bytes, kind: str) -> str:
    """Return a picture as the address of an <img>."""
    return f'data:image/{kind};base64,{base64.b64encode(data).decode()}'

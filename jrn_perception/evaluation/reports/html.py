# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The evaluation of a recording as one HTML file that needs nothing beside itself."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape
import io
from pathlib import Path
from string import Template
from typing import Any

import cv2
from jrn_perception.drawing import colourise_depth, depth_limits, overlay
from jrn_perception.evaluation.measures.series import curve
from jrn_perception.evaluation.recordings.session import BagEvaluation
from jrn_perception.evaluation.recordings.totals import Measured
from jrn_perception.evaluation.reports import bag_document
from jrn_perception.labels import FOLDS, LabelSet, map_labels
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
import numpy as np

WIDTH = 320
QUALITY = 80
PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em;
  color: #1d2126; background: #fff }
h1 { font-size: 1.4em } h2 { font-size: 1.1em; margin: 2em 0 .5em }
table { border-collapse: collapse; margin: 0 0 1em; font-variant-numeric: tabular-nums }
th, td { padding: .2em .8em; text-align: right; border-bottom: 1px solid #e2e5e9 }
th:first-child, td:first-child { text-align: left }
.tables, .frames { display: flex; flex-wrap: wrap; gap: 1em 2.5em; align-items: start }
.partial { background: #fff1d6; border-left: 4px solid #d98a00; padding: .5em 1em }
.plots img { max-width: 100%; width: 520px }
figure { margin: 0 } figcaption { font-size: .85em; color: #5b626b }
.frames { gap: .5em }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .4em }
</style></head><body>
<h1>$title</h1>
<p>$headline</p>
$partial
$notes
<h2>Numbers</h2>
<div class="tables">$tables</div>
<h2>Over time</h2>
<div class="plots">$plots</div>
<h2>Worst frames</h2>
$worst
<p>$legend</p>
</body></html>
""")
TRACES = {'rel': 'rel', 'pixel_accuracy': 'pixel accuracy (%)',
          'depth_drift': 'median change of depth', 'label_drift': 'share of labels that change',
          'inference_ms': 'inference (ms)'}


def write_html(evaluation: BagEvaluation, document: dict[str, Any], clock: dict[str, Any],
               path: Path) -> None:
    """Write the report; ``document`` and ``clock`` are those of ``bag_report``."""
    title = f'{document["source"]["recording"]} – {document["network"]["architecture"]} ' \
            f'{document["network"]["variant"]}'
    partial = ''
    if document['partial']:
        partial = f'<p class="partial">Partial: {escape(document["reason"])}</p>'
    labels = evaluation.totals.labels
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PAGE.substitute(
        title=escape(title), headline=escape(bag_document.headline(document)), partial=partial,
        notes=''.join(f'<p>Note: {escape(note)}</p>' for note in document['notes']),
        tables='\n'.join(_tables(document, clock)),
        plots='\n'.join(_image(svg, 'svg+xml') for svg in _plots(evaluation, document)),
        worst='\n'.join(_worst(evaluation)), legend=_legend(labels, document)), encoding='utf-8')


def _tables(document: dict[str, Any], clock: dict[str, Any]) -> Iterator[str]:
    for title, heads, rows in bag_document.rows_of(document, clock):
        top = ''.join(f'<th>{escape(head)}</th>' for head in (title, *heads))
        body = ''.join('<tr>' + ''.join(f'<td>{escape(cell)}</td>' for cell in row) + '</tr>'
                       for row in rows)
        yield f'<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _plots(evaluation: BagEvaluation, document: dict[str, Any]) -> Iterator[bytes]:
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


def _figure() -> tuple[Figure, Any]:
    figure = Figure(figsize=(5.2, 2.8), layout='constrained')
    axes = figure.add_subplot()
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(alpha=0.3)
    return figure, axes


def _svg(figure: Figure) -> bytes:
    file = io.BytesIO()
    # Neither dates nor random ids: the same plot is the same text.
    with rc_context({'svg.hashsalt': 'jrn_perception', 'font.size': 9}):
        FigureCanvasSVG(figure).print_svg(file, metadata={'Date': None, 'Creator': None})
    return file.getvalue()


def _worst(evaluation: BagEvaluation) -> Iterator[str]:
    for name in bag_document.measures(evaluation):
        for rank, worst in enumerate(evaluation.totals.worst[name].ranked(), 1):
            figures = ''.join(
                f'<figure>{_image(_jpeg(picture), "jpeg")}<figcaption>{escape(caption)}'
                '</figcaption></figure>'
                for caption, picture in _pictures(worst.content, evaluation))
            head = f'{TRACES[name]}, worst {rank}: {worst.score:.4g} at {worst.name}'
            yield f'<h3>{escape(head)}</h3><div class="frames">{figures}</div>'


def _pictures(measured: Measured, evaluation: BagEvaluation) -> Iterator[tuple[str, np.ndarray]]:
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


def _legend(labels: LabelSet | None, document: dict[str, Any]) -> str:
    if labels is None:
        return ''
    shares = document['semantics']['classes']
    return ' &emsp; '.join(
        f'<span class="swatch" style="background: rgb{colour}"></span>{escape(name)}'
        for name, colour in zip(labels.names, labels.colours) if shares[name])


def _jpeg(rgb: np.ndarray) -> bytes:
    return cv2.imencode('.jpg', rgb[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1].tobytes()


def _image(data: bytes, kind: str) -> str:
    return f'<img alt="" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'

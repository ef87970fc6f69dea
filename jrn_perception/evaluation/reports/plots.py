# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Plots: Fig. 7, performance over influence with the concave bound of Fig. 8, and reliability.

A plot does not name the version of matplotlib: the same document gives the same file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jrn_perception.evaluation.measures import paper
import numpy as np

COLOURS = {'coupled': 'tab:green', 'loose': 'tab:red', 'attention': 'tab:blue'}
# (direction in the document, accuracy in the document, x label, y label)
PANELS = (
    ('depth_to_semantics', 'mean_iou', r'$\omega_{D \to S^\prime}$ (points of mean IoU)',
     'mean IoU [%]'),
    ('semantics_to_depth', 'minus_rel_sqr', r'$\omega_{S \to D^\prime}$ (rel(sqr) · 100)',
     r'$-$rel(sqr) · 100'),
)


def upper_bound(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the corners (M, 2), by x, of the least concave curve above all points (x, y)."""
    hull: list[np.ndarray] = []
    # Among points with the same x the highest counts: it comes last and removes the others.
    for point in np.stack((x, y), -1)[np.lexsort((y, x))]:
        while hull and (hull[-1][0] == point[0]
                        or len(hull) > 1 and _turn(hull[-2], hull[-1], point) >= 0):
            hull.pop()
        hull.append(point)
    return np.array(hull)


def plot(document: dict[str, Any], direction: str, path: Path, value: str = 'zero') -> None:
    """
    Write a picture of one panel of Fig. 7 from an influence document.

    ``direction`` is ``depth_to_semantics`` or ``semantics_to_depth``; ``value`` is the value with
    which the other modality was muted. Bars are bootstrap intervals; coupled variants are green,
    loose variants red, symbiosis networks blue. The paper's points, of the variants that it has,
    are faint and use the right axis: the paper had other inputs, and its variants lie closer
    together than our intervals are wide.
    """
    _, accuracy, x_label, y_label = next(panel for panel in PANELS if panel[0] == direction)
    figure = _figure()
    theirs = figure.add_subplot()
    axes = theirs.twinx()
    points = []
    kinds = {item['computation'] for item in document['variants'].values()}
    for name, item in document['variants'].items():
        across, up = item[direction][value]['total'], item[accuracy]
        colour = COLOURS[item['computation']]
        x, y = across['value'], up['value']
        points.append((x, y))
        axes.errorbar(x, y, _bars(up), _bars(across), 'o', color=colour, capsize=2, linewidth=1)
        axes.annotate(name, (x, y), (6, 5), textcoords='offset points', color=colour)
        if name not in paper.FIGURE_7:
            continue
        row = paper.FIGURE_7[name]
        there = getattr(row, direction), getattr(row, accuracy)
        theirs.plot(*there, 'o', color=colour, alpha=0.25)
        theirs.annotate(name, there, (6, -10), textcoords='offset points', color=colour,
                        alpha=0.4, fontsize='small')
    bound = upper_bound(*np.array(points).T)
    # In steps: a straight line is curved on the logarithmic axis.
    x = np.linspace(*bound[[0, -1], 0], 400)
    axes.plot(x, np.interp(x, *bound.T), ':', color='grey', zorder=0)
    # Cat1 depends on depth ten times as much as the other variants do.
    axes.set_xscale('symlog', linthresh=1)
    theirs.axvline(0, color='lightgrey', linewidth=0.8, zorder=0)
    axes.yaxis.set_label_position('left')
    axes.yaxis.tick_left()
    theirs.yaxis.tick_right()
    theirs.tick_params(axis='y', colors='darkgrey')
    theirs.yaxis.set_label_position('right')
    theirs.set_ylabel(f'{y_label}, paper', color='darkgrey')
    theirs.set(xlabel=x_label, title=f'{document["source"]["reader"]}, '
               f'{document["source"]["frames"]} frames, muted with {value}')
    axes.set_ylabel(y_label)
    for each in (axes, theirs):
        each.margins(0.12)
        each.ticklabel_format(axis='y', useOffset=False)
    styles = {kind: {'color': colour} for kind, colour in COLOURS.items()
              if kind != 'attention' or kind in kinds}
    for label, style in (*styles.items(), ('paper', {'color': 'grey', 'alpha': 0.4})):
        axes.plot([], [], 'o', label=label, **style)
    axes.plot([], [], ':', color='grey', label='concave bound of ours')
    # Below the plot, where the legend cannot cover a point.
    axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.14), ncol=4, fontsize='small')
    _save(figure, path)


def plot_reliability(document: dict[str, Any], path: Path) -> None:
    """
    Write the reliability plot of a data set's document, which has ``calibration``.

    Above: the share of right pixels over the confidence of each bin, with the diagonal of a
    perfect confidence; a JRN's inputs are grey. Below: the share of all pixels in each bin.
    """
    found, network = document['calibration'], document['network']
    figure = _figure()
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot((0, 1), (0, 1), ':', color='grey', label='perfect')
    pixels = sum(part['pixels'] for part in found['output']['bins'])
    for part in found['output']['bins']:
        low, high = part['confidence_range']
        lower.bar((low + high) / 2, part['pixels'] / max(pixels, 1), 0.9 * (high - low),
                  color='tab:blue')
    for side, colour in (('inputs', 'darkgrey'), ('output', 'tab:blue')):
        if side not in found:
            continue
        points = [(part['confidence'], part['accuracy']) for part in found[side]['bins']
                  if part['pixels']]
        error = found[side]['ece']['value']
        upper.plot(*zip(*points), 'o-', color=colour, markersize=4,
                   label=f'{side}: ECE {"–" if error is None else f"{error:.3f}"}')
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel='share of right pixels',
              title=f'{network["architecture"]} {network["variant"]}, '
              f'{document["source"]["reader"]}, {document["source"]["frames"]} frames')
    lower.set(xlabel='confidence', ylabel='share of pixels')
    upper.legend(loc='upper left', fontsize='small')
    _save(figure, path)


def _figure() -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), dpi=150, layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={'Software': None})


def _turn(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> float:
    """Return a positive number if the path through the points turns left."""
    (x1, y1), (x2, y2) = second - first, third - second
    return x1 * y2 - y1 * x2


def _bars(found: dict[str, Any]) -> np.ndarray:
    """Return the lengths (2, 1) of the bars below and above a value, never negative."""
    low, high = found['interval']
    return np.maximum(((found['value'] - low,), (high - found['value'],)), 0)

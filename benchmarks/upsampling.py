# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measure the cost and the effect of enlarging logits before the class is decided.

``Prediction`` enlarges the logits up to ``LOGIT_BUDGET`` values, decides the classes, and copies
the decisions to the pixels of the picture. This program compares that with deciding at the
network's own resolution, at twice that resolution, and at every pixel of the picture; the last
also with torch alone, as most code does. The cost is the best time divided by the network's best
time. The effect is the share of pixels whose class differs from the decision at every pixel. The
pictures are rooms of our renderer, or with --data the frames of a data set; the program then also
prints the mean IoU.

    python benchmarks/upsampling.py [--network hydranet] [--variant nyu40] [--weights FILE]
        [--frames 12] [--data ../shared/data/nyuv2 --split val]

The default is the shipped weights. A network without shipped weights gets random weights, and the
program says so.
"""

import argparse
import time

from jrn_perception import weights
from jrn_perception.datasets.registry import open_dataset
from jrn_perception.evaluation.measures.comparison import Comparison, Protocol
from jrn_perception.evaluation.measures.metrics import label_metrics, Table
from jrn_perception.perception import Perception, Prediction, prediction
from jrn_perception.rooms.scenes import scenes
import numpy as np
import torch
from torch.nn import functional

FULL = 'full resolution'


def decide(maps, size, label_set, budget):
    """Return the labels of ``Prediction`` under another budget."""
    before, prediction.LOGIT_BUDGET = prediction.LOGIT_BUDGET, budget
    try:
        return Prediction(maps, size, label_set).labels
    finally:
        prediction.LOGIT_BUDGET = before


def torch_alone(maps, size):
    """Return the labels at full resolution, decided as most code does."""
    logits = torch.from_numpy(maps.semantics).permute(0, 3, 1, 2)
    logits = functional.interpolate(logits, size, mode='bilinear', align_corners=False)
    return logits.argmax(1)[0].to(torch.uint8).numpy()


def ways(maps, size, label_set):
    """Return the ways to decide by name; each is a function that returns labels (H, W)."""
    values = maps.semantics[0].size
    # 64 times the width of the network's output is more than any picture has, and logits are never
    # enlarged beyond the picture.
    budgets = {"the network's resolution": values, 'twice that': 4 * values,
               f'LOGIT_BUDGET = {prediction.LOGIT_BUDGET}': prediction.LOGIT_BUDGET,
               FULL: 64 ** 2 * values}
    found = {name: lambda budget=budget: decide(maps, size, label_set, budget)
             for name, budget in budgets.items()}
    found[f'{FULL}, torch alone'] = lambda: torch_alone(maps, size)
    return found


def timed(function):
    """Return the result of the function, and its time in seconds."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def measure(network, frames, label_set):
    """Return the best times of all ways and the network, differing pixels, and IoU tables."""
    comparison = Comparison(network, label_set, Protocol()) if label_set else None
    seconds, differing, tables = {}, {}, {}
    for frame in frames:
        size = frame.rgb.shape[:2]
        image = network.preprocess(frame.rgb)
        maps, took = timed(lambda image=image: network.infer(image[None]))
        seconds['network'] = min(seconds.get('network', np.inf), took)
        labels = {}
        for name, way in ways(maps, size, network.label_set).items():
            labels[name], took = timed(way)
            seconds[name] = min(seconds.get(name, np.inf), took)
        for name, found in labels.items():
            differing.setdefault(name, []).append((found != labels[FULL]).mean())
            if comparison:
                table = tables.setdefault(name, Table(comparison.num_classes))
                table.add(frame.name, comparison.truth(frame), labels=found)
    return seconds, {name: np.mean(shares) for name, shares in differing.items()}, tables


def load(arguments):
    """Return the network; without shipped weights, print so and use random weights."""
    try:
        return Perception.load(arguments.network, arguments.variant,
                               weights_file=arguments.weights, device='cpu', backend='torch')
    except weights.WeightsError as error:
        if arguments.weights:
            raise SystemExit(f'upsampling.py: {error}') from error
        print('this network has no shipped weights: the weights are random, so that almost every '
              'pixel may change its class')
        return Perception.load(arguments.network, arguments.variant, weights_file='random',
                               device='cpu')


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--network', default='hydranet', help='(default: %(default)s)')
    parser.add_argument('--variant', default='', help='(default: the first)')
    parser.add_argument('--weights', default='', help='file (default: the shipped one)')
    parser.add_argument('--frames', type=int, default=12, help='(default: %(default)s)')
    parser.add_argument('--data', default='', help='folder of NYU frames, to print their mean IoU')
    parser.add_argument('--split', default='val', help='split of --data (default: %(default)s)')
    arguments = parser.parse_args()
    network = load(arguments)
    label_set = None
    if arguments.data:
        data = open_dataset('nyuv2', arguments.data, arguments.split)
        frames = [data[i] for i in range(min(arguments.frames, len(data)))]
        label_set = data.labels
    else:
        frames = list(scenes(arguments.frames))
    seconds, differing, tables = measure(network, frames, label_set)
    print(f'{network.card.spec.name}, {len(network.label_set)} classes, {len(frames)} pictures of '
          f'{frames[0].rgb.shape[1]}x{frames[0].rgb.shape[0]}, network '
          f'{1e3 * seconds["network"]:.1f} ms\n')
    print('| decided at | ms | x network | pixels that differ | mean IoU |')
    print('| --- | ---: | ---: | ---: | ---: |')
    for name, share in differing.items():
        iou = '-'
        if name in tables:
            sums = tables[name].labels.sum((0, 1))
            iou = f'{label_metrics(sums).mean_iou:.2f} %'
        print(f'| {name} | {1e3 * seconds[name]:.1f} | {seconds[name] / seconds["network"]:.2f} '
              f'| {share:.2%} | {iou} |')


if __name__ == '__main__':
    main()

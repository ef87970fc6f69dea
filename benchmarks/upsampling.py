# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Show what it costs, and changes, to enlarge logits before the class is decided.

``Perception`` enlarges the logits as far as ``LOGIT_BUDGET`` values go, decides, and copies the
decisions to the pixels of the picture. Beside that: deciding at the network's own resolution, at
twice that, and at every pixel of the picture; the last also by torch alone, the usual way. Cost is
the ratio of the best times to the network's; the change is the share of pixels whose class is not
that of full resolution. On rooms of our renderer, or with --data on the frames of a data set, and
there with the mean IoU of each.

    python benchmarks/upsampling.py [--network hydranet] [--variant nyu40] [--weights FILE]
        [--frames 12] [--data ../shared/data/nyuv2 --split val]

Without --weights the shipped ones are taken, or random ones, with a note, where none are shipped.
"""

import argparse
import time

from jrn_perception import weights
from jrn_perception.datasets.registry import open_dataset
from jrn_perception.evaluation.measures.comparison import Comparison, Protocol
from jrn_perception.evaluation.measures.metrics import label_metrics, Table
from jrn_perception.perception import Perception, Prediction
from jrn_perception.perception import prediction as module
from jrn_perception.rooms.scenes import scenes
import numpy as np
import torch
from torch.nn import functional

FULL = 'full resolution'


def decide(maps, size, label_set, budget):
    """Return the labels as ``Perception`` makes them, under another budget."""
    before, module.LOGIT_BUDGET = module.LOGIT_BUDGET, budget
    try:
        return Prediction(maps, size, label_set).labels
    finally:
        module.LOGIT_BUDGET = before


def torch_alone(maps, size):
    """Return the labels of full resolution as most code makes them."""
    logits = torch.from_numpy(maps.semantics).permute(0, 3, 1, 2)
    logits = functional.interpolate(logits, size, mode='bilinear', align_corners=False)
    return logits.argmax(1)[0].to(torch.uint8).cpu().numpy()


def ways(maps, size, label_set):
    """Return the ways to decide, each a function that returns labels (H, W)."""
    values = maps.semantics[0].size
    # Nothing is enlarged beyond the picture, which is no 64 times as wide as the network's output.
    budgets = {"the network's resolution": values, 'twice that': 4 * values,
               f'LOGIT_BUDGET = {module.LOGIT_BUDGET}': module.LOGIT_BUDGET,
               FULL: 64 ** 2 * values}
    found = {name: lambda budget=budget: decide(maps, size, label_set, budget)
             for name, budget in budgets.items()}
    found[f'{FULL}, torch alone'] = lambda: torch_alone(maps, size)
    return found


def timed(function):
    """Return what the function returns and the seconds it took."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def measure(network, frames, label_set):
    """Return the best time of each way and of the network, differing pixels, and IoU tables."""
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
    """Return the network; random weights, and a line that says so, where none are shipped."""
    try:
        return Perception.load(arguments.network, arguments.variant,
                               weights_file=arguments.weights, device='cpu')
    except weights.WeightsError as error:
        if arguments.weights:
            raise SystemExit(f'upsampling.py: {error}') from error
        print('no weights are shipped: random ones, whose labels change everywhere at once')
        return Perception.load(arguments.network, arguments.variant, weights_file='random',
                               device='cpu')


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--network', default='hydranet', help='(default: %(default)s)')
    parser.add_argument('--variant', default='', help='(default: the first)')
    parser.add_argument('--weights', default='', help='file (default: the shipped one)')
    parser.add_argument('--frames', type=int, default=12, help='(default: %(default)s)')
    parser.add_argument('--data', default='', help='folder of NYU frames, for their mean IoU')
    parser.add_argument('--split', default='val', help='of --data (default: %(default)s)')
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
    print('| decided at | ms | x network | pixels of another class | mean IoU |')
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

# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measure the time of the networks on this machine's CPU, as ratios from one run.

The first table shows how memory layout, folded batch norms, channel scales and precision change
the time of HydraNet. The second table shows every network beside HydraNet. Both use random
weights, because the time does not depend on their values. The third tables show the shipped
weights in each backend and precision, from a picture of 640x480 to depth, labels and confidence of
this size: the time of the network and of all else. Their first row is the same network as users of
the published code run it. The first run exports the weights into the user's cache. The
measurements alternate, so that a ratio holds on a machine that also does other work; each time is
the best of its rounds. The two VGG-16 networks take seconds per picture and run only with --vgg.

    python benchmarks/inference.py [--rounds 7] [--size 288 384] [--threads N] [--vgg]
    python benchmarks/inference.py --backends [--files int8.onnx ...]
"""

import argparse
from contextlib import nullcontext
import copy
from pathlib import Path
import time

import cv2
from jrn_perception import networks, weights
from jrn_perception.networks.interface import MEAN, STD
from jrn_perception.networks.jrn import ModularNetwork
from jrn_perception.networks.layers import ChannelScale, fold_batch_norms
from jrn_perception.perception import Perception
from jrn_perception.perception.backends import choice
from jrn_perception.rooms.scenes import Scene
import torch
from torch import nn

SIZE = weights.Card('', '').input_size
VGG = ('depth_multiscale', 'semantics_fcn16s')


def run(network, image, precision='fp32'):
    """Return a function that runs the network once."""
    def once():
        autocast = torch.autocast('cpu', torch.bfloat16) if precision == 'bf16' else nullcontext()
        with torch.inference_mode(), autocast:
            network(image)
    return once


def best_times(runs, rounds):
    """Return the seconds of each run's fastest round; runs alternate, after one warm-up round."""
    best = dict.fromkeys(runs, float('inf'))
    for turn in range(rounds + 1):
        for name, once in runs.items():
            start = time.perf_counter()
            once()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def layouts(image):
    """Return HydraNet as torch builds it, and each step towards the form in ``Perception``."""
    plain = weights.load('hydranet', weights='random').network
    fast = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    folded = fold_batch_norms(copy.deepcopy(fast))
    there = image.contiguous(memory_format=torch.channels_last)
    convolved = copy.deepcopy(folded)
    for module in convolved.modules():
        if isinstance(module, ChannelScale):
            module.forward = nn.Conv2d.forward.__get__(module)
    return {
        'eager, NCHW, fp32': run(plain, image),
        'channels_last': run(fast, there),
        'channels_last, batch norms folded (Perception)': run(folded, there),
        'Perception, channel scales by convolution': run(convolved, there),
        'Perception under bf16': run(folded, there, 'bf16'),
    }


def every_network(image, vgg):
    """Return each network as ``Perception`` runs it; a JRN includes its input networks."""
    there = image.contiguous(memory_format=torch.channels_last)
    runs = {}
    for variants in networks.ARCHITECTURES.values():
        for spec in variants.values():
            if spec.name in VGG and not vgg:
                continue
            network = weights.load(spec.architecture, spec.variant, 'random').network
            network = fold_batch_norms(network).to(memory_format=torch.channels_last)
            if not spec.inputs:
                runs[spec.name] = run(network, there)
                continue
            for stride in (2, 4):
                # The paper joins its branches at stride 2, the shipped weights at stride 4.
                refine = spec.build(output_stride=stride).eval()
                modular = ModularNetwork(
                    network.depth, network.semantics,
                    refine.to(memory_format=torch.channels_last), network.fold)
                runs[f'{spec.name}, output stride {stride}'] = run(modular, there)
    return runs


class Reference:
    """A network as users of the published code run it: eager NCHW, cubic logits at full size."""

    def __init__(self, architecture):
        self.network = weights.load(architecture).network

    def preprocess(self, rgb):
        return cv2.resize(rgb, SIZE[::-1], interpolation=cv2.INTER_CUBIC)

    def infer(self, pictures):
        image = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous() / 255
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        with torch.inference_mode():
            return self.network((image - mean) / std)

    def read(self, maps, size):
        """Return labels and depth of a picture (height, width)."""
        logits = maps.semantics[0].permute(1, 2, 0).numpy()
        enlarged = cv2.resize(logits, size[::-1], interpolation=cv2.INTER_CUBIC)
        depth = maps.depth[0, 0].abs().numpy()
        return enlarged.argmax(2), cv2.resize(depth, size[::-1], interpolation=cv2.INTER_CUBIC)


class Own:
    """A network of this package in a backend, from picture to depth, labels and confidence."""

    def __init__(self, architecture, **options):
        self.perception = Perception.load(architecture, device='cpu', **options)
        self.preprocess, self.infer = self.perception.preprocess, self.perception.infer
        self.name = f'{self.perception.backend_name}, {self.perception.precision}'

    def read(self, maps, size):
        prediction = self.perception.postprocess(maps, size)
        return prediction.valid_depth(), prediction.labels, prediction.confidence


def backends(architecture, threads, files):
    """Return the reference, and the network in each backend and precision that is there."""
    loaded = [Own(architecture, backend='torch', precision='fp32', threads=threads)]
    for name in choice.installed():
        loaded.append(Own(architecture, backend=name, precision='fp32', threads=threads))
        if name == 'openvino' and choice.cpu_knows_bfloat16():
            loaded.append(Own(architecture, backend=name, precision='bf16', threads=threads))
        for file in files:
            if weights.read_card(file).architecture == architecture:
                loaded.append(Own(architecture, weights_file=str(file), backend=name,
                                  variant=weights.read_card(file).variant, threads=threads))
    return {'reference, torch eager NCHW': Reference(architecture), **{
        own.name: own for own in loaded}}


def shares(runs, rgb, rounds):
    """Return the best seconds of network and of all else of each run; runs alternate."""
    best = {name: [float('inf')] * 2 for name in runs}
    for turn in range(rounds + 1):
        for name, own in runs.items():
            start = time.perf_counter()
            picture = own.preprocess(rgb)[None]
            begun = time.perf_counter()
            maps = own.infer(picture)
            ended = time.perf_counter()
            own.read(maps, rgb.shape[:2])
            took = ended - begun, begun - start + time.perf_counter() - ended
            if turn:
                best[name] = [min(pair) for pair in zip(best[name], took)]
    return best


def print_shares(architecture, best):
    """Print a markdown table of the network's time, the rest, and both beside torch."""
    reference, torch_ = list(best.values())[:2]
    print(f'\n| {architecture}, picture of 640x480 to maps of its size | network, ms | all else, '
          'ms | share of the network | reference / this | torch / this, network |\n'
          '| --- | ---: | ---: | ---: | ---: | ---: |')
    for name, (network, rest) in best.items():
        print(f'| {name} | {1e3 * network:.1f} | {1e3 * rest:.1f} | '
              f'{100 * network / (network + rest):.0f} % | '
              f'{sum(reference) / (network + rest):.2f} | {torch_[0] / network:.2f} |')


def table(title, times, reference):
    """Print a markdown table: milliseconds, and their ratio to the reference."""
    print(f'\n| {title} | ms | x {reference} |\n| --- | ---: | ---: |')
    for name, seconds in times.items():
        print(f'| {name} | {1e3 * seconds:.1f} | {seconds / times[reference]:.2f} |')


def compare_backends(arguments):
    """Print the tables of the backends."""
    rgb = Scene(0).render().rgb
    for architecture in ('hydranet', 'jrn'):
        runs = backends(architecture, arguments.threads, arguments.files)
        print_shares(architecture, shares(runs, rgb, arguments.rounds))


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--rounds', type=int, default=7,
                        help='rounds of each measurement (default: %(default)s)')
    parser.add_argument('--size', type=int, nargs=2, default=SIZE,
                        metavar=('HEIGHT', 'WIDTH'),
                        help='size of the input (default: %(default)s)')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(),
                        help='threads of a network (default: %(default)s)')
    parser.add_argument('--backends', action='store_true', help='print the third tables alone')
    parser.add_argument('--files', type=Path, nargs='*', default=[], metavar='NAME.onnx',
                        help='files of jrn_export --int8 to measure as well')
    parser.add_argument('--vgg', action='store_true', help='measure the two VGG-16 networks too')
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    image = torch.randn(1, 3, *arguments.size, generator=torch.Generator().manual_seed(0))
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads, input '
          f'{arguments.size[0]}x{arguments.size[1]}, best of {arguments.rounds} rounds')
    if arguments.backends:
        compare_backends(arguments)
        return
    runs = layouts(image)
    table('hydranet_nyu40', best_times(runs, arguments.rounds), next(iter(runs)))
    runs = every_network(image, arguments.vgg)
    table('network', best_times(runs, arguments.rounds), 'hydranet_nyu40')
    compare_backends(arguments)


if __name__ == '__main__':
    main()

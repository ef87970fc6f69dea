# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Convert a published checkpoint to a weights file: ``jrn_convert``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

from jrn_perception.cli import program

# Checkpoints need its torch, TensorFlow Lite files its tflite as well.
EXTRA = "pip install '.[train]'"

DESCRIPTION = """\
Convert a checkpoint to safetensors with a card.

Two kinds of PyTorch checkpoints are recognised by their keys. The HydraNet of Nekrasov et al.
becomes a network for the node; its variant follows from the shapes. torchvision's mobilenet_v2
becomes an encoder to start a training from, without its ImageNet classifier; it is no network to
run. So does a TensorFlow Lite graph that begins with a MobileNet-v2 (FILE.tflite), such as DeepLab
trained on ADE20K, from which `jrn_train --start ade20k --encoder` starts.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``jrn_convert``; return its exit code."""
    return program.run('jrn_convert', lambda: _convert(argv), EXTRA)


def _convert(argv: Sequence[str] | None) -> None:
    from jrn_perception.weights.convert import convert, PUBLISHED

    parser = argparse.ArgumentParser(
        'jrn_convert', description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', type=Path,
                        help='a file written by torch.save, or FILE.tflite')
    parser.add_argument('output', type=Path, help='NAME.safetensors; the card is NAME.json')
    parser.add_argument('--variant', default='', choices=tuple(PUBLISHED),
                        help='refuse a HydraNet of another variant')
    arguments = parser.parse_args(argv)
    print(convert(arguments.checkpoint, arguments.output, arguments.variant))


if __name__ == '__main__':
    sys.exit(main())

# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""How each shipped network is trained: one table with every number, and the settings of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, MISSING
from pathlib import Path
from typing import Any

# Starts that give weights to the encoder alone.
ENCODER_STARTS = ('imagenet', 'ade20k')
# Readers of frames to train on.
READABLE = ('folder', 'nyuv2', 'nyuv2_mat', 'scannet', 'scannet20', 'cityscapes')


def _entry(meaning: str, default: Any = MISSING, make: Callable[[], Any] | Any = MISSING,
           option: str = '') -> Any:
    """Return a field of a recipe; ``jrn_train NETWORK --help`` shows its ``meaning``."""
    return field(default=default, default_factory=make,
                 metadata={'meaning': meaning, 'option': option})


@dataclass(frozen=True)
class Recipe:
    """
    One training run of a network that sees pictures.

    ``rotation`` and ``zoom`` are the ranges of random views (see ``views.Views``), ``mix_share``
    is the share for ``mix.affine_mix``, ``rate_at`` in ``module`` is the schedule of the learning
    rates, and ``dense.DenseModule`` says what ``logit_adjustment`` does: mean IoU counts rare
    classes as much as walls.
    """

    network: tuple[str, str] = _entry('architecture and variant')
    epochs: int = _entry('passes over the frames of --fit')
    start: str = _entry(
        'weights to start from, as far as the networks agree: imagenet or ade20k (of the encoder '
        'alone), shipped (the HydraNet of this package), the name of another recipe for its '
        'result, or a file NAME.safetensors', 'imagenet')
    encoder_stride: int = _entry(
        "stride of the encoder's coarsest features: 32, or 16 with MobileNet-v2, whose last "
        'stages are then dilated', 32)
    batch_size: int = _entry('frames in a batch, in each process', 8)
    encoder_rate: float = _entry('highest learning rate of the encoder (AdamW)', 2e-4)
    decoder_rate: float = _entry('highest learning rate of all other weights (AdamW)', 7e-4)
    weight_decay: float = _entry('weight decay (AdamW)', 0.02)
    ema_decay: float = _entry(
        'decay, per step, of the average of weights that is kept; smaller at the beginning', 0.995)
    input_size: tuple[int, int] = _entry(
        'height and width of the network input at inference; frames of another aspect get an '
        'input with as many pixels', (288, 384))
    crop: tuple[int, int] = _entry(
        'height and width of the window that training cuts out of a frame at that size',
        (240, 320), option='crop_size')
    zoom: tuple[float, float] = _entry('range of the random zoom of a frame', (0.7, 1.6))
    rotation: float = _entry('largest random rotation in degrees', 5.)
    colour_jitter: float = _entry('strength of random changes of colour', 0.4)
    mix_share: float = _entry(
        'share of views into which nearer objects of another view are pasted', 0.5)
    mix_after: int = _entry('epochs before the pasting begins', 0)
    loss_stride: int = _entry('losses are computed at 1/loss_stride of the window', 2)
    depth_weight: float = _entry('weight of the depth loss', 0.5)
    semantics_weight: float = _entry('weight of the semantics loss', 1.0)
    logit_adjustment: float = _entry(
        'factor of the log class frequencies that the loss adds to the logits', 0.3)
    soft_weight: float = _entry(
        "share of the semantics loss that --teacher's probabilities get", 0.5)
    extra_share: float = _entry('share of an epoch that the frames of --extra get', 0.25)
    seed: int = _entry('seed of all random numbers', 0)


@dataclass(frozen=True)
class SymbiosisRecipe(Recipe):
    """
    One training run of a symbiosis network on labelled and unlabelled frames.

    An epoch has as many labelled views as --fit has frames, with --labels too: so runs with
    different shares of the labels have the same steps. A weight, share or rate of 0 switches its
    part off; with all of the weights of unlabelled frames at 0 the run is supervised only. See
    ``unlabelled.semi.SymbiosisModule``.
    """

    attention_rate: float = _entry(
        'highest learning rate of the attention between the tasks; 0 leaves the attention out',
        3e-3)
    consistency_weight: float = _entry(
        "weight of the loss against the mean teacher's labels on unlabelled frames", 1.0)
    confidence: float = _entry(
        'probability from which the teacher is sure of a pixel (Hoyer et al.)', 0.968)
    teacher_decay: float = _entry(
        'decay, per step, of the mean teacher; smaller at the beginning (Hoyer et al.)', 0.99)
    ramp_up: float = _entry('share of the steps over which the consistency loss grows', 0.1)
    class_mix: float = _entry(
        'share of unlabelled views that get half of the classes of another view (ClassMix)', 0.5)
    affine_mix: float = _entry(
        'share of unlabelled views that get moved instances of another view (AffineMix)', 0.5)
    mix_zoom: tuple[float, float] = _entry(
        'range of the scale of a moved instance; its depth is divided by the scale', (0.5, 2.0))
    color_aug: float = _entry(
        'share of unlabelled views whose colours change by semantic group (ColorAug)', 0.5)
    unlabelled_depth: float = _entry(
        'factor of the depth loss on the annotated depth of unlabelled frames', 1.0)
    video_weight: float = _entry(
        'weight of the photometric loss on neighbouring frames of a video', 0.)
    video_step: int = _entry('frames between a picture and its neighbours', 1)
    smoothness: float = _entry(
        'weight of the roughness of depth beside the photometric loss (Godard et al.)', 1e-3)


@dataclass(frozen=True)
class RefineRecipe:
    """
    One training run of a JRN on the predictions of frozen single-task networks.

    These networks predict better on the frames they were trained on than on new frames. Unless
    other networks predict for frames they have not seen (``jrn_train jrn --fold``), strong
    ``colour_jitter`` makes the errors more like the errors on new frames, and so does
    ``corruption`` (see ``refine.corrupt``). With ``--fold`` ``colour_jitter`` is 0.
    """

    epochs: int = _entry('passes over the kept predictions', 4)
    views: int = _entry('random views of each frame whose predictions are kept', 2)
    batch_size: int = _entry('views in a batch, in each process', 16)
    rate: float = _entry('highest learning rate (AdamW)', 1e-3)
    weight_decay: float = _entry('weight decay (AdamW)', 1e-4)
    ema_decay: float = _entry(
        'decay, per step, of the average of weights that is kept; smaller at the beginning', 0.995)
    input_size: tuple[int, int] = _entry(
        'height and width of the network input at inference; frames of another aspect get an '
        'input with as many pixels', (288, 384))
    zoom: tuple[float, float] = _entry('range of the random zoom of a view', (0.8, 1.25))
    colour_jitter: float = _entry(
        'strength of random changes of colour; not with --fold, which sets it to 0', 0.5)
    corruption: float = _entry('strength of the random errors added to the predictions', 0.)
    depth_power: float = _entry(
        'exponent of the true depth by which the loss divides squared errors (paper: 1)', 0.)
    logit_adjustment: float | None = _entry(
        'factor of the log class frequencies that the loss adds to the logits; null: with 40 '
        "classes the semantics network's own, with 5 classes 0", None)
    depth_input: str = _entry(
        'network, or sensor: a simulated depth camera, completed by the network', 'network')
    blind: float = _entry('share of views in which that sensor sees nothing', 0.15)
    options: dict[str, Any] = _entry(
        "the network's options", make=lambda: {'output_stride': 4, 'residual': True})
    seed: int = _entry('seed of all random numbers', 0)


@dataclass(frozen=True)
class Settings:
    """
    One run of ``jrn_train``: the ``recipe`` called ``network``, its frames and files.

    ``data`` is the folder of the annotated frames, ``reader`` its layout, ``fit`` and ``val`` the
    splits to train and to measure on, ``crop`` the well annotated part of a frame (see
    ``frames.parse_crop``). ``extra`` lists more frames to train on, READER=FOLDER[@SPLIT].
    ``labels``, 1/N or a file of names, says which of the frames keep their labels; ``unlabelled``
    lists more frames without labels, READER=FOLDER[@SPLIT], ``video`` sources of pictures.
    ``hold_out``, K/N, leaves a part of ``fit`` out. ``output`` is the folder for weights and
    checkpoints, ``encoder`` a file with the encoder to start from, ``teacher`` a weights file.
    ``fold`` lists the outputs of hydranets that held frames out; ``folds`` of them are trained
    first, if it is not 0, with the changes ``fold_set`` to their recipe. ``variant`` lists the
    variants of the JRN to train (none: all), ``classes`` is their number of classes, 40 or 5 (0:
    5). ``workers`` processes load frames.
    """

    network: str
    recipe: Recipe | RefineRecipe
    data: Path
    reader: str = 'nyuv2'
    fit: str = 'fit'
    val: str = 'val'
    crop: str = ''
    extra: tuple[str, ...] = ()
    labels: str = ''
    unlabelled: tuple[str, ...] = ()
    video: tuple[str, ...] = ()
    hold_out: str | None = None
    skip_damaged: bool = False
    output: Path = Path('runs')
    encoder: Path | None = None
    teacher: Path | None = None
    fold: tuple[Path, ...] = ()
    variant: tuple[str, ...] = ()
    classes: int = 0
    folds: int = 0
    fold_set: tuple[str, ...] = ()
    workers: int = 0


# The single-task networks start from the trained joint network: on a few hundred annotated frames
# they become better than with the same time from ImageNet's weights alone.
RECIPES = {
    'teacher': Recipe(
        ('hydranet', 'nyu40_resnet50'), epochs=26, encoder_rate=1e-4, weight_decay=0.05,
        input_size=(384, 512), crop=(256, 352), zoom=(0.6, 1.6)),
    # The run was 31 epochs old when mixing was added; whether an earlier start is better was not
    # measured.
    'hydranet': Recipe(('hydranet', 'nyu40'), epochs=100, mix_after=31),
    'depth': Recipe(('depth', 'mobilenetv2'), epochs=8, start='hydranet',
                    encoder_rate=1e-4, decoder_rate=4e-4),
    'semantics': Recipe(('semantics', 'mobilenetv2'), epochs=8, start='hydranet',
                        encoder_rate=1e-4, decoder_rate=4e-4),
    'symbiosis': SymbiosisRecipe(('symbiosis', 'nyu40'), epochs=100),
    # Sizes: the aspect of Cityscapes; Hoyer et al.'s is 512x1024 with windows of 512x512.
    'symbiosis_cityscapes': SymbiosisRecipe(
        ('symbiosis', 'custom'), epochs=100, input_size=(256, 512), crop=(256, 256),
        rotation=0., zoom=(0.8, 1.6), video_weight=1.0),
    # ScanNet's neighbours at 30 Hz hardly differ.
    'symbiosis_scannet': SymbiosisRecipe(
        ('symbiosis', 'nyu40'), epochs=30, rotation=0., video_weight=1.0, video_step=5),
    'jrn': RefineRecipe(),
}

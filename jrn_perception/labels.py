# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Label sets: names, ids, colours, and the maps between them.

Ids count from 0; 255 is "unlabelled" everywhere (vision_msgs/LabelInfo fixes that value).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNLABELLED = 255
# The name of every label set of a user's own classes, which the weights' card lists.
CUSTOM = 'custom'


@dataclass(frozen=True)
class LabelSet:
    """Class names of a data set, index = id, and a colour (R, G, B) for each."""

    name: str
    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]

    def __post_init__(self):
        if len(self.names) != len(self.colours):
            raise ValueError(f'{self.name}: {len(self.names)} names, {len(self.colours)} colours')
        if not 0 < len(self.names) < UNLABELLED:
            raise ValueError(f'{self.name}: between 1 and 254 classes fit in mono8')

    def __len__(self) -> int:
        return len(self.names)

    def palette(self) -> np.ndarray:
        """Return the uint8 (256, 3) colours by id; ids without a class are black."""
        table = np.zeros((256, 3), np.uint8)
        table[:len(self)] = self.colours
        return table


def voc_colours(count: int, first: int = 0) -> tuple[tuple[int, int, int], ...]:
    """Return ``count`` colours of the PASCAL VOC palette, which interleaves the bits of the id."""
    colours = []
    for index in range(first, first + count):
        rgb = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                rgb[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
        colours.append(tuple(rgb))
    return tuple(colours)


# Gupta et al., CVPR 2013, in the data set's own spelling. The palette is that of the published
# HydraNet pictures: the VOC colour of id + 1, so that black means "unlabelled".
NYU40 = LabelSet(
    'nyu40',
    ('wall', 'floor', 'cabinet', 'bed', 'chair', 'sofa', 'table', 'door', 'window', 'bookshelf',
     'picture', 'counter', 'blinds', 'desk', 'shelves', 'curtain', 'dresser', 'pillow', 'mirror',
     'floor mat', 'clothes', 'ceiling', 'books', 'refridgerator', 'television', 'paper', 'towel',
     'shower curtain', 'box', 'whiteboard', 'person', 'night stand', 'toilet', 'sink', 'lamp',
     'bathtub', 'bag', 'otherstructure', 'otherfurniture', 'otherprop'),
    voc_colours(40, first=1))


def custom(names: Sequence[str]) -> LabelSet:
    """Return a user's own label set; ValueError for no name, too many, or a name twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f'{CUSTOM}: two classes are called {twice[0]!r}')
    return LabelSet(CUSTOM, tuple(names), voc_colours(len(names), first=1))


# The JRN paper's five geometric categories (after Wang et al., CVPR 2015).
NYU5 = LabelSet(
    'nyu5',
    ('ground', 'vertical', 'ceiling', 'furniture', 'object'),
    ((128, 64, 128), (70, 130, 180), (230, 230, 160), (220, 120, 50), (200, 40, 60)))

# KITTI-6 of Nekrasov et al.; names by the CamVid palette of the published colour map.
KITTI6 = LabelSet(
    'kitti6',
    ('sky', 'building', 'road', 'sidewalk', 'vegetation', 'car'),
    ((128, 128, 128), (128, 0, 0), (128, 64, 128), (0, 0, 192), (128, 128, 0), (64, 0, 128)))

# The joint 46-channel network: channels 0-39 are NYU40's, 40-45 KITTI6's.
NYU40_KITTI6 = LabelSet(
    'nyu40_kitti6', NYU40.names + KITTI6.names, NYU40.colours + KITTI6.colours)

# Cityscapes (Cordts et al., CVPR 2016) and KITTI's semantic benchmark: the 19 evaluated classes
# in the order of their "train ids", with the palette of the data set's own tools.
CITYSCAPES19 = LabelSet(
    'cityscapes19',
    ('road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light', 'traffic sign',
     'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train',
     'motorcycle', 'bicycle'),
    ((128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
     (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
     (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
     (0, 80, 100), (0, 0, 230), (119, 11, 32)))

# NYU40 ids of the classes of ScanNet's benchmark (Dai et al., CVPR 2017), by ScanNet's id.
SCANNET20_IN_NYU40 = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 23, 27, 32, 33, 35, 38)
SCANNET20 = LabelSet(
    'scannet20',
    tuple(NYU40.names[i] for i in SCANNET20_IN_NYU40),
    tuple(NYU40.colours[i] for i in SCANNET20_IN_NYU40))

# SUN RGB-D (Song et al., CVPR 2015): its 37 classes are NYU40's without otherstructure,
# otherfurniture and otherprop, which its frames leave unlabelled.
SUNRGBD37 = LabelSet('sunrgbd37', NYU40.names[:37], NYU40.colours[:37])

# ADE20K's scene parsing benchmark (Zhou et al., CVPR 2017): 150 classes in the order of their ids
# 1..150, here 0..149, by the first names in objectInfo150.txt.
ADE20K150 = LabelSet('ade20k150', tuple(
    'wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, '
    'person, earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, '
    'shelf, house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, '
    'bathtub, railing, cushion, base, box, column, signboard, chest of drawers, counter, sand, '
    'sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, '
    'pool table, pillow, screen door, stairway, river, bridge, bookcase, blind, coffee table, '
    'toilet, flower, book, hill, bench, countertop, stove, palm, kitchen island, computer, '
    'swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower, '
    'chandelier, awning, streetlight, booth, television receiver, airplane, dirt track, apparel, '
    'pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, '
    'fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket, '
    'waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name, '
    'microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, '
    'sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, '
    'bulletin board, shower, radiator, glass, clock, flag'.split(', ')), voc_colours(150, first=1))
# Our choice. Where NYU-Depth v2 has an object of the same name or meaning among its 894, it is in
# the class to which Gupta et al. assign that object (nyuv2_classes.json): a stove is
# otherstructure, a coffee table otherfurniture, a stool otherprop. Exceptions: "book" means rows
# of books in ADE20K; "rug" lies on the floor like a floor mat; "glass" is a vessel and "case" a
# showcase, but NYU-Depth v2's "glass" is a pane and its "case" a small object. Classes whose
# pictures show several of NYU40's ("seat", "poster"), and classes of streets and landscapes, stay
# unlabelled.
ADE20K_COUNTERPARTS = {
    'wall': ('wall',),
    'floor': ('floor',),
    'cabinet': ('cabinet', 'buffet'),
    'bed': ('bed',),
    'chair': ('chair', 'armchair', 'swivel chair'),
    'sofa': ('sofa',),
    'table': ('table',),
    'door': ('door',),
    'window': ('windowpane',),
    'bookshelf': ('bookcase',),
    'picture': ('painting',),
    'counter': ('counter', 'countertop'),
    'blinds': ('blind',),
    'desk': ('desk',),
    'shelves': ('shelf',),
    'curtain': ('curtain',),
    'dresser': ('chest of drawers',),
    'pillow': ('pillow', 'cushion'),
    'mirror': ('mirror',),
    'floor mat': ('rug',),
    'clothes': ('apparel',),
    'ceiling': ('ceiling',),
    'books': ('book',),
    'refridgerator': ('refrigerator',),
    'television': ('television receiver',),
    'towel': ('towel',),
    'box': ('box',),
    'person': ('person',),
    'toilet': ('toilet',),
    'sink': ('sink',),
    'lamp': ('lamp',),
    'bathtub': ('bathtub',),
    'bag': ('bag',),
    'otherstructure': (
        'railing', 'column', 'fireplace', 'stairs', 'stairway', 'step', 'stove', 'kitchen island',
        'bar', 'light', 'chandelier', 'bannister', 'oven', 'dishwasher', 'screen', 'hood'),
    'otherfurniture': (
        'wardrobe', 'base', 'case', 'pool table', 'coffee table', 'bench', 'ottoman', 'washer',
        'barrel', 'cradle', 'ashcan', 'radiator'),
    'otherprop': (
        'plant', 'flower', 'computer', 'bottle', 'plaything', 'stool', 'basket', 'ball', 'food',
        'microwave', 'pot', 'bicycle', 'blanket', 'sculpture', 'vase', 'tray', 'fan',
        'crt screen', 'plate', 'monitor', 'glass', 'clock', 'flag'),
}

LABEL_SETS = {labels.name: labels for labels in (NYU40, NYU5, KITTI6, NYU40_KITTI6, CITYSCAPES19,
                                                 SCANNET20, SUNRGBD37, ADE20K150)}

# NYU40 id -> NYU5 id. NYU's own super-classes (mapToNYUSuperClass of classMapping40.mat: ground,
# structure, furniture, prop) with "ceiling" taken out of structure. The JRN paper does not publish
# its mapping.
NYU40_TO_NYU5 = np.array(
    (1, 0, 3, 3, 3, 3, 3, 1, 1, 3, 4, 1, 1, 3, 3, 1, 3, 4, 4, 4,
     4, 2, 4, 3, 4, 4, 4, 1, 4, 1, 4, 3, 3, 4, 4, 3, 4, 1, 3, 4), np.uint8)

# Ids of Cityscapes' and KITTI's label pictures -> CITYSCAPES19. Classes that the benchmark ignores
# (ego vehicle, parking, caravan, ...) become unlabelled.
CITYSCAPES_IDS_TO_CITYSCAPES19 = np.full(34, UNLABELLED, np.uint8)
CITYSCAPES_IDS_TO_CITYSCAPES19[[7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31,
                                32, 33]] = range(19)

# NYU40 id -> SCANNET20 id. Not a fold, because the other 20 classes become unlabelled.
NYU40_TO_SCANNET20 = np.full(40, UNLABELLED, np.uint8)
NYU40_TO_SCANNET20[list(SCANNET20_IN_NYU40)] = range(20)

# NYU40 id -> SUNRGBD37 id. The last 3 classes have no counterpart.
NYU40_TO_SUNRGBD37 = np.full(40, UNLABELLED, np.uint8)
NYU40_TO_SUNRGBD37[:37] = range(37)

# ADE20K150 id -> NYU40 id. Classes without a counterpart become unlabelled.
ADE20K150_TO_NYU40 = np.full(150, UNLABELLED, np.uint8)
for _label, _name in enumerate(NYU40.names):
    ADE20K150_TO_NYU40[[ADE20K150.names.index(counterpart)
                        for counterpart in ADE20K_COUNTERPARTS.get(_name, ())]] = _label


def map_labels(labels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """
    Return uint8 labels translated by ``table`` (index = old id, value = new id).

    Ids beyond the table, 255 among them, become 255.
    """
    lookup = np.full(256, UNLABELLED, np.uint8)
    lookup[:len(table)] = table
    return lookup[labels]


# (finer set, coarser set) -> id table, for networks that predict the finer set. 255 leaves a class
# out: such a network then chooses among the others, as is usual on SUN RGB-D.
FOLDS = {('nyu40', 'nyu5'): NYU40_TO_NYU5,
         ('nyu40', 'sunrgbd37'): NYU40_TO_SUNRGBD37,
         ('sunrgbd37', 'nyu5'): NYU40_TO_NYU5[:37],
         ('ade20k150', 'nyu40'): ADE20K150_TO_NYU40,
         ('ade20k150', 'nyu5'): map_labels(ADE20K150_TO_NYU40, NYU40_TO_NYU5)}


def fold_matrix(source: LabelSet, target: LabelSet) -> np.ndarray:
    """
    Return the 0/1 matrix (len(target), len(source)) that sums probabilities of the finer set.

    It is the identity if both sets have the same names. A class without a counterpart has a column
    of zeros. Raises ValueError if no map between the sets exists.
    """
    if source.names == target.names:
        return np.eye(len(source), dtype=np.float32)
    if (source.name, target.name) not in FOLDS:
        raise ValueError(f'no map from label set {source.name} to {target.name}')
    table = FOLDS[source.name, target.name]
    return (table == np.arange(len(target))[:, None]).astype(np.float32)

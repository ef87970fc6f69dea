# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The recipes for Cityscapes and ScanNet, on drawn pictures in the layouts of these data sets."""

import json

import cv2
from jrn_perception import weights
from jrn_perception.cli.evaluate import main as evaluate
from jrn_perception.datasets.registry import open_dataset
from jrn_perception.labels import CITYSCAPES19
from jrn_perception.rooms.scenes import Scene
import numpy as np
import pytest
from train_runs import perceive, TINY, train

pytest.importorskip('lightning', reason="needs pip install '.[train]'")

# Ids of Cityscapes: road, building, sky, car.
IDS = np.array((7, 11, 23, 26), np.uint8)
FOCAL, BASELINE = 120., 0.2
TABLE = 'id\traw_category\tcategory\tcount\tnyu40id\n' + ''.join(
    f'{nyu}\tx\tx\t1\t{nyu}\n' for nyu in range(1, 41))


def write(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


@pytest.fixture(scope='module')
def cityscapes(tmp_path_factory):
    """Return two annotated pictures of one snippet each, with the pictures around them."""
    root = tmp_path_factory.mktemp('cityscapes')
    for index, split in ((3, 'train'), (4, 'train'), (5, 'val')):
        scene, snippet = Scene(index), f'aachen_{index:06d}'
        for number in range(17, 22):
            frame = scene.render(number, 64, 128)
            name = f'{split}/aachen/{snippet}_{number:06d}'
            write(root / f'leftImg8bit_sequence/{name}_leftImg8bit.png', frame.rgb[..., ::-1])
            if number != 19:
                continue
            write(root / f'leftImg8bit/{name}_leftImg8bit.png', frame.rgb[..., ::-1])
            write(root / f'gtFine/{name}_gtFine_labelIds.png', IDS[frame.labels % 4])
            disparity = 1 + 256 * BASELINE * FOCAL / frame.depth
            write(root / f'disparity/{name}_disparity.png', disparity.astype(np.uint16))
            path = root / f'camera/{name}_camera.json'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({
                'extrinsic': {'baseline': BASELINE},
                'intrinsic': {'fx': FOCAL, 'fy': FOCAL, 'u0': 64., 'v0': 32.}}))
    return root


@pytest.fixture(scope='module')
def scannet(tmp_path_factory):
    root = tmp_path_factory.mktemp('scannet')
    for split, seed in (('train', 3), ('val', 5)):
        scene, name = Scene(seed), f'scene000{seed}_00'
        folder = root / 'scans' / name
        for number in range(4):
            frame = scene.render(number, 60, 80)
            write(folder / f'color/{number}.jpg', frame.rgb[..., ::-1])
            write(folder / f'depth/{number}.png', (1000 * frame.depth).astype(np.uint16))
            write(folder / f'label-filt/{number}.png', frame.labels.astype(np.uint16) + 1)
            (folder / 'pose').mkdir(exist_ok=True)
            pose = frame.pose if number else np.full((4, 4), -np.inf)
            np.savetxt(folder / f'pose/{number}.txt', pose)
        matrix = np.eye(4)
        matrix[:3, :3] = frame.camera_matrix
        (folder / 'intrinsic').mkdir()
        np.savetxt(folder / 'intrinsic/intrinsic_color.txt', matrix)
        (root / f'scannetv2_{split}.txt').write_text(f'{name}\n')
    (root / 'scannetv2-labels.combined.tsv').write_text(TABLE)
    return root


def test_neighbours_of_cityscapes(cityscapes):
    frames = open_dataset('cityscapes', cityscapes, 'train')
    before, after = frames.neighbours(0, 2)
    assert (before.name, after.name) == ('aachen_000003_000017', 'aachen_000003_000021')
    assert np.array_equal(before.rgb, Scene(3).render(17, 64, 128).rgb)
    assert frames.neighbours(0, 3) == (None, None)
    assert frames.depth_range == (1, 100)


def test_neighbours_and_poses_of_scannet(scannet):
    frames = open_dataset('scannet', scannet, 'train')
    before, after = frames.neighbours(1, 1)
    assert (before.name, after.name) == ('scene0003_00/0', 'scene0003_00/2')
    assert before.pose is None, 'the camera had lost its way'
    np.testing.assert_allclose(after.pose, Scene(3).render(2, 60, 80).pose)
    np.testing.assert_allclose(frames[3].pose, Scene(3).render(3, 60, 80).pose)
    assert frames.neighbours(3, 1)[1] is None


def test_the_recipe_for_cityscapes(cityscapes, hydranet, tmp_path):
    small = ('--set', 'input_size=[64,128]', '--set', 'crop=[64,64]', '--set', 'epochs=1', '--set',
             'batch_size=1')
    assert train('symbiosis_cityscapes', cityscapes, tmp_path, *small, '--reader', 'cityscapes',
                 '--fit', 'train', '--labels', '1/2', '--set',
                 f'start={hydranet / "hydranet_nyu40.safetensors"}') == 0
    path = tmp_path / 'symbiosis_custom.safetensors'
    card = weights.check(path)
    assert card.classes == CITYSCAPES19.names
    assert (card.training['frames'], card.training['recipe']['video_weight']) == (1, 1.0)
    assert card.depth_range == (1, 100) and card.input_size == (64, 128)
    assert {'mean_iou', 'rms'} <= set(card.metrics['output'])
    rows = (tmp_path / 'symbiosis_cityscapes/log/version_0/metrics.csv').read_text()
    assert 'val/mean_iou' in rows
    perceive(path, 'symbiosis', 'custom')
    # Classes with the data set's names are compared with the data set.
    document = tmp_path / 'out.json'
    assert evaluate(['dataset', '--architecture', 'symbiosis', '--variant', 'custom', '--weights',
                     str(path), '--reader', 'cityscapes', '--data', str(cityscapes), '--json',
                     str(document)]) == 0
    found = json.loads(document.read_text())
    assert list(found['output']['classes']) == list(CITYSCAPES19.names)
    assert found['output']['pooled']['mean_iou']['value'] == pytest.approx(
        card.metrics['output']['mean_iou'], abs=1e-3)


def test_the_recipe_for_scannet(scannet, hydranet, tmp_path):
    assert train('symbiosis_scannet', scannet, tmp_path, *TINY, '--set', 'crop=[48,64]', '--set',
                 'video_step=1', '--reader', 'scannet', '--fit', 'train', '--labels', '1/2',
                 '--set', f'start={hydranet / "hydranet_nyu40.safetensors"}') == 0
    card = weights.check(tmp_path / 'symbiosis_nyu40.safetensors')
    assert card.labels == 'nyu40' and card.training['frames'] == 2

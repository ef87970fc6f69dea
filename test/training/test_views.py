# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Random views of frames whose colours tell depth, label and place of each pixel."""

from dataclasses import replace
import math

import cv2
from jrn_perception.frame import Frame
from jrn_perception.perception.preprocessing import resize_picture
from jrn_perception.training.views import Augmentation, class_frequencies, typical, Views
import numpy as np
import pytest
import torch

HEIGHT, WIDTH = 240, 320
SIZE = (144, 192)
CROP = (96, 128)
# Ids that lie far apart: anything that is interpolated is none of them.
IDS = np.array((3, 17, 38), np.uint8)


def annotated(depth=True, labels=True):
    """Return a frame: red rises with the column, green with the row, blue tells the label."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    label = IDS[((columns // 40 + rows // 40) % 3).astype(int)]
    rgb = np.stack((columns * 255 / WIDTH, rows * 255 / HEIGHT, 100 + 50 * (label == 17)), 2)
    # A plane: depth tells the column to a fraction of a pixel.
    metres = 1 + columns / 100
    return Frame(rgb.round().astype(np.uint8), depth=metres if depth else None,
                 labels=label if labels else None)


def views(frame=None, size=SIZE, crop=CROP, zoom=(0.8, 1.6), rotation=0., **options):
    augmentation = Augmentation(crop, zoom, rotation) if crop else None
    return Views([frame or annotated()], size, augmentation, **options)


def samples(dataset, count=40):
    for seed in range(count):
        torch.manual_seed(seed)
        yield dataset[0]


def column_in_picture(sample):
    """Return what column of the frame each pixel shows, by its colour."""
    return sample['image'][0].double().numpy() * WIDTH / 255


def inside(sample, margin=3):
    """Return the pixels that show the frame, some way off its border."""
    shown = np.isfinite(sample['depth'].numpy()).astype(np.uint8)
    return cv2.erode(shown, np.ones((2 * margin + 1,) * 2, np.uint8), borderValue=0).astype(bool)


def zoom_of(sample):
    """
    Return by how much the depth was divided, from the colour that tells the true depth.

    Its median over the pixels, which are some thousand.
    """
    mask = inside(sample)
    true = 1 + column_in_picture(sample)[mask] / 100
    return np.median(true / sample['depth'].numpy()[mask])


def magnification(sample):
    """Return how many pixels of the sample one of the resized frame takes, across and down."""
    mask = inside(sample, 4)
    red, green = (sample['image'][i].numpy().astype(float) for i in (0, 1))
    step = 8
    across = np.abs(red[:, step:] - red[:, :-step])[mask[:, step:] & mask[:, :-step]]
    down = np.abs(green[step:] - green[:-step])[mask[step:] & mask[:-step]]
    return (255 * step / SIZE[1] / across.mean(), 255 * step / SIZE[0] / down.mean())


@pytest.mark.parametrize('shape', [(180, 320), (240, 320), (320, 320)])
def test_a_frame_of_any_aspect_is_seen_undistorted(shape):
    rgb = np.full((*shape, 3), 60, np.uint8)
    cv2.circle(rgb, (shape[1] // 2, shape[0] // 2), 40, (255, 255, 255), -1)
    dataset = views(Frame(rgb, depth=np.ones(shape, np.float32)), crop=(200, 200), zoom=(1., 1.))
    expected = 80 * math.sqrt(SIZE[0] * SIZE[1] / (shape[0] * shape[1]))
    for sample in samples(dataset, 10):
        rows, columns = np.nonzero(sample['image'][0].numpy() > 160)
        for extent in (np.ptp(rows) + 1, np.ptp(columns) + 1):
            # The aspect is drawn, by up to 5 % of each side.
            assert extent == pytest.approx(expected, rel=0.07)


def test_depth_is_that_of_the_networks_focal_length():
    frame = annotated()
    camera = np.diag((300., 320., 1.))
    expected = frame.depth[::20, ::20]
    for factor in (1, 2):
        # 0.6 of the frame's size; 1e-6 is what a card rounds.
        focal_length = (300 * 0.6 / factor * (1 + 1e-6), 320 * 0.6 / factor)
        for known in (camera, None):
            dataset = views(replace(frame, camera_matrix=known), crop=None,
                            focal_length=focal_length)
            found = dataset[0]['depth'].numpy()
            divisor = factor if known is not None else 1
            np.testing.assert_allclose(found[::12, ::12], expected / divisor, atol=0.02)
        dataset = views(replace(frame, camera_matrix=camera), focal_length=focal_length)
        plain = views(replace(frame, camera_matrix=camera))
        for one, other in zip(samples(dataset, 5), samples(plain, 5)):
            torch.testing.assert_close(one['depth'] * factor, other['depth'], equal_nan=True)


def plane(values, mask):
    """Return by how much values rise to the right and down, and what they are in the corner."""
    rows, columns = np.nonzero(mask)
    ones = np.ones(len(rows))
    return np.linalg.lstsq(np.stack((columns, rows, ones), 1), values[mask], rcond=None)[0]


def turn_of(sample):
    """Return the degrees by which the direction in which depth rises is turned off the row's."""
    right, down, _ = plane(sample['depth'].numpy(), inside(sample))
    # A mirrored view rises to the left.
    return math.degrees(math.atan2(down, abs(right)))


def place_of_centre(sample):
    """Return column and row, in the sample, of the frame's centre, by the colours around it."""
    mask = inside(sample)
    rows = sample['image'][1].double().numpy() * HEIGHT / 255
    across, down = plane(column_in_picture(sample), mask), plane(rows, mask)
    centre = np.array(((WIDTH - 1) / 2 - across[2], (HEIGHT - 1) / 2 - down[2]))
    return np.linalg.solve((across[:2], down[:2]), centre)


def test_a_sample_has_the_networks_types():
    for dataset, size in ((views(), CROP), (views(crop=None), SIZE)):
        sample = dataset[0]
        assert {name: (tuple(v.shape), v.dtype) for name, v in sample.items()} == {
            'image': ((3, *size), torch.uint8), 'depth': (size, torch.float32),
            'labels': (size, torch.int64), 'centre': ((2,), torch.float32)}
    assert len(views()) == 1


def test_without_a_crop_the_frame_is_resized_as_at_inference():
    sample, frame = views(crop=None)[0], annotated()
    expected = cv2.resize(frame.rgb, SIZE[::-1], interpolation=cv2.INTER_AREA)
    difference = sample['image'].permute(1, 2, 0).numpy().astype(int) - expected
    # Away from the steps of blue and the border, which a blur softens.
    assert np.abs(difference[4:-4, 4:-4, :2]).max() <= 2
    assert sample['depth'].isfinite().all()
    assert zoom_of(sample) == pytest.approx(1, abs=0.005)
    assert set(np.unique(sample['labels'])) == set(IDS)


def test_pixel_areas_are_aligned_as_in_cv2_resize():
    rgb = np.zeros((64, 256, 3), np.uint8)
    rgb[...] = np.arange(256)[:, None]
    red = Views([Frame(rgb)], (16, 64))[0]['image'][0, 8].double().numpy()
    # Four columns become one: 4 i to 4 i + 3. Aligned pixel centres would give 4 i.
    assert np.abs(red - (4 * np.arange(64) + 1.5))[3:-3].max() <= 0.6


def test_depth_is_divided_by_the_zoom_that_was_applied():
    zooms, aspects = [], []
    for sample in samples(views()):
        across, down = magnification(sample)
        # The aspect varies as well: the zoom is what both sides have in common.
        assert zoom_of(sample) == pytest.approx((across * down) ** 0.5, rel=0.04)
        zooms.append(zoom_of(sample))
        aspects.append(across / down)
    assert 0.85 < min(aspects) < 0.95 and 1.05 < max(aspects) < 1.15
    assert min(zooms) < 0.9 and max(zooms) > 1.4
    assert 0.79 < min(zooms) and max(zooms) < 1.61


def test_a_fixed_zoom_divides_by_just_that():
    for zoom in (0.5, 1.0, 2.0):
        for sample in samples(views(zoom=(zoom, zoom)), 3):
            assert zoom_of(sample) == pytest.approx(zoom, rel=0.01)


@pytest.mark.parametrize('rotation', [0., 20.])
def test_picture_depth_and_labels_stay_on_each_other(rotation):
    for sample in samples(views(rotation=rotation)):
        mask = inside(sample)
        zoom = zoom_of(sample)
        by_depth = (sample['depth'].numpy() * zoom - 1) * 100
        # One grey level is 1.25 columns; nearest sampling adds half a pixel of the sample.
        difference = (by_depth - column_in_picture(sample))[mask]
        assert np.abs(difference).max() < 4
        assert abs(np.median(difference)) < 1
        # Labels: the pattern computed from the colours, away from its own edges.
        rows = sample['image'][1].double().numpy() * HEIGHT / 255
        columns = column_in_picture(sample)
        expected = IDS[((columns // 40 + rows // 40) % 3).astype(int)]
        clear = mask & (np.abs(columns % 40 - 20) < 15) & (np.abs(rows % 40 - 20) < 15)
        assert clear.sum() > 500
        assert (sample['labels'].numpy()[clear] == expected[clear]).all()


def test_views_are_turned_either_way_by_up_to_the_rotation():
    turns = [turn_of(sample) for sample in samples(views(rotation=20.), 60)]
    assert min(turns) < -16 and max(turns) > 16
    # A changed aspect, exp(0.1) at most, adds to what a direction turns.
    limit = math.degrees(math.atan(math.exp(0.1) * math.tan(math.radians(20))))
    assert max(np.abs(turns)) < limit + 0.1


def test_the_centre_of_a_frame_is_where_it_would_be_without_the_turn():
    frame = annotated()
    # Noise, or the rounding of the colours would be alike all along a straight view's columns.
    noise = np.random.default_rng(0).integers(-1, 2, frame.rgb.shape)
    noisy = (frame.rgb + noise).clip(0, 255).astype(np.uint8)
    dithered = Frame(noisy, depth=frame.depth, labels=frame.labels)
    for straight, turned in zip(samples(views(dithered), 10),
                                samples(views(dithered, rotation=40.), 10)):
        # OpenCV 4 rounds places to 32nds of a pixel.
        np.testing.assert_allclose(place_of_centre(turned), place_of_centre(straight),
                                   atol=2 / 32)


def test_a_turn_takes_no_depth_and_no_zoom_along():
    for straight, turned in zip(samples(views(), 10), samples(views(rotation=40.), 10)):
        assert zoom_of(turned) == pytest.approx(zoom_of(straight), rel=0.01)


def test_without_rotation_columns_stay_columns():
    for sample in samples(views(), 10):
        depth = sample['depth'].numpy()
        shown = depth[:, np.isfinite(depth).any(0)]
        assert shown.shape[1] > 50
        assert (np.nanmax(shown, 0) == np.nanmin(shown, 0)).all()


def test_a_turned_picture_is_not_blurred():
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    # Seen as large as it is; interpolation alone leaves half of the noise's deviation of 74.
    dataset = views(Frame(noise), size=(HEIGHT, WIDTH), zoom=(1., 1.), rotation=85.)
    assert min(sample['image'].float().std() for sample in samples(dataset, 20)) > 30


@pytest.mark.parametrize('rotation', [0., 20.])
def test_labels_are_never_interpolated(rotation):
    found = set()
    for sample in samples(views(zoom=(0.4, 0.9), rotation=rotation)):
        found |= set(np.unique(sample['labels']))
    assert found == {*IDS.tolist(), 255}


def test_depth_is_never_interpolated():
    """Between a near thing and a far wall nothing is in the middle."""
    metres = np.full((HEIGHT, WIDTH), 1, np.float32)
    metres[60:180, 80:240] = 8
    frame = Frame(annotated().rgb, depth=metres)
    for sample in samples(views(frame, zoom=(1.3, 1.3)), 5):
        values = np.unique(sample['depth'][sample['depth'].isfinite()])
        assert all(np.isclose(value * 1.3, (1, 8)).any() for value in values)


def test_around_a_frame_that_does_not_fill_the_window_nothing_is_annotated():
    seen = set()
    for sample in samples(views(zoom=(0.4, 0.4)), 10):
        outside = sample['depth'].isnan()
        assert 0.3 < outside.float().mean() < 0.9
        assert (sample['labels'][outside] == 255).all()
        assert (sample['labels'][~outside] != 255).all()
        # The mean colour of ImageNet, which the network sees as zeros.
        colour = sample['image'][:, outside]
        exact = (colour == torch.tensor([124, 116, 104])[:, None].to(colour)).all(0)
        assert exact.float().mean() > 0.95
        shown = (~outside).nonzero()
        seen.add(tuple(shown.min(0).values.tolist()))
    assert len(seen) > 5, 'the frame lies in another place each time'


def test_every_part_of_a_frame_is_shown():
    columns = [column_in_picture(s)[inside(s)] for s in samples(views(zoom=(1.5, 1.5)))]
    assert min(c.min() for c in columns) < 0.1 * WIDTH
    assert max(c.max() for c in columns) > 0.9 * WIDTH


def test_half_of_the_views_are_mirrored():
    mirrored = 0
    for sample in samples(views(), 100):
        row = column_in_picture(sample)[CROP[0] // 2][inside(sample)[CROP[0] // 2]]
        mirrored += row[-1] < row[0]
    assert 30 <= mirrored <= 70


def test_a_seed_gives_the_same_view_and_another_seed_another():
    dataset = views()
    pairs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        pairs.append(dataset[0])
    for name in pairs[0]:
        assert torch.equal(pairs[0][name].nan_to_num(-1), pairs[1][name].nan_to_num(-1))
    assert not torch.equal(pairs[0]['image'], pairs[2]['image'])


@pytest.mark.parametrize('depth, labels', [(True, False), (False, True), (False, False)])
def test_what_a_frame_does_not_have_is_not_annotated(depth, labels):
    for dataset in (views(annotated(depth, labels)), views(annotated(depth, labels), crop=None)):
        sample = dataset[0]
        assert sample['depth'].isfinite().any() == depth
        assert (sample['labels'] != 255).any() == labels
        assert sample['image'].float().std() > 10


def test_depth_outside_of_the_trusted_region_is_unknown():
    region = (slice(60, 180), slice(80, 240))
    sample = views(crop=None, region=region)[0]
    trusted = torch.zeros(SIZE, dtype=torch.bool)
    trusted[36:108, 48:144] = True
    assert sample['depth'].isfinite().equal(trusted)
    assert (sample['labels'] != 255).all(), 'labels are trusted everywhere'


def test_unknown_depth_stays_unknown_and_does_not_spread():
    metres = np.full((HEIGHT, WIDTH), 2, np.float32)
    metres[:, WIDTH // 2:] = np.nan
    sample = views(Frame(annotated().rgb, depth=metres), crop=None)[0]
    assert sample['depth'].isfinite().float().mean().item() == pytest.approx(0.5, abs=0.01)
    assert np.unique(sample['depth'][sample['depth'].isfinite()]).tolist() == [2]


def test_a_picture_that_shrinks_does_not_alias():
    rgb = np.zeros((240, 318, 3), np.uint8)
    rgb[::2, 1::2] = rgb[1::2, ::2] = 200
    # At a third, the middle of each pixel is the middle of one of the picture's: 0 or 200.
    turned = Views([Frame(rgb)], (80, 106), Augmentation(
        (80, 106), zoom=(1., 1.), rotation=1e-6))[0]
    assert turned['image'][:, 8:-8, 8:-8].float().std() < 10
    assert turned['image'].float().mean().item() == pytest.approx(100, abs=5)
    # Upright it is the mean of 3x3 of them, four or five of which are 200.
    upright = Views([Frame(rgb)], (80, 106))[0]
    assert set(upright['image'].unique().tolist()) == {89, 111}


def test_the_whole_picture_is_what_the_network_gets_at_work():
    rgb = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    image = Views([Frame(rgb)], SIZE)[0]['image'].permute(1, 2, 0).numpy()
    assert np.array_equal(image, resize_picture(rgb, SIZE))


def test_upright_views_are_that_at_another_size_moved_by_whole_pixels():
    rgb = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    for sample in samples(Views([Frame(rgb)], SIZE, Augmentation(CROP, (1., 1.))), 5):
        image = np.ascontiguousarray(sample['image'].permute(1, 2, 0).numpy())
        # The aspect is within a tenth of the frame's, the area the same.
        widths = range(round(SIZE[1] * 0.95) - 1, round(SIZE[1] * 1.05) + 2)
        sizes = [(round(SIZE[0] * SIZE[1] / width) + more, width)
                 for width in widths for more in (-1, 0, 1)]
        differences = [cv2.matchTemplate(picture, image, cv2.TM_SQDIFF).min()
                       for size in sizes for upright in (resize_picture(rgb, size),)
                       for picture in (upright, np.ascontiguousarray(upright[:, ::-1]))]
        # Noise elsewhere differs by some thousands a pixel; float32 sums of squares by little.
        assert min(differences) < 0.1 * image.size


class Counted:
    """Frames that count how often they are read."""

    reads = 0

    def __len__(self):
        return 1

    def __getitem__(self, index):
        self.reads += 1
        return annotated()


@pytest.mark.parametrize('cache, reads', [(True, 1), (False, 3)])
def test_frames_are_kept_unless_told_otherwise(cache, reads):
    frames = Counted()
    dataset = Views(frames, SIZE, Augmentation(CROP), cache=cache)
    images = [sample['image'] for sample in samples(dataset, 3)]
    assert frames.reads == reads
    assert not torch.equal(images[0], images[1]), 'the frame is kept, not the view'


def labelled(*rows):
    labels = np.array(rows, np.uint8)
    return Frame(np.zeros((*labels.shape, 3), np.uint8), labels=labels)


def test_class_frequencies_are_shares_of_what_is_labelled():
    frames = [labelled([0, 0, 255]), labelled([2, 255, 0]), annotated(labels=False)]
    assert class_frequencies(Views(frames, SIZE), 3).tolist() == pytest.approx([0.75, 1e-5, 0.25])


def test_class_frequencies_of_no_labels_are_all_alike():
    assert len(set(class_frequencies(views(annotated(labels=False)), 5).tolist())) == 1


@pytest.mark.parametrize('count, expected', [(1, [0]), (3, [0, 2, 4]), (8, [0, 1, 2, 3, 4])])
def test_typical_images_are_from_all_over(count, expected):
    frames = [Frame(np.full((*SIZE, 3), 50 * index, np.uint8)) for index in range(5)]
    images = typical(Views(frames, SIZE), count)
    mean, std = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    for image, index in zip(images, expected, strict=True):
        np.testing.assert_allclose(image[:, 9, 9], (50 * index / 255 - mean) / std, rtol=1e-5)


def test_frames_that_were_counted_are_not_read_again():
    frames = Counted()
    dataset = Views(frames, SIZE, Augmentation(CROP))
    class_frequencies(dataset, 40)
    for sample in samples(dataset, 3):
        assert sample['image'].shape == (3, *CROP)
    assert frames.reads == 1

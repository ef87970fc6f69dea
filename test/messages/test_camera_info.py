# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What a recorded CameraInfo says of a picture."""

from types import SimpleNamespace

from jrn_perception.messages.camera_info import (
    image_size,
    Intrinsics,
    is_rectified,
    match,
    values,
)
from jrn_perception.recordings.reader import CAMERA_INFO
import numpy as np
import pytest

typesys = pytest.importorskip('rosbags.typesys')

STORE = typesys.get_typestore(typesys.Stores.LATEST)
K = (500., 0., 320., 0., 510., 240., 0., 0., 1.)


def camera_info(k=K, binning=(0, 0), roi=(0, 0, 0, 0)):
    types = STORE.types
    header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](1, 2), 'camera')
    x, y, width, height = roi
    region = types['sensor_msgs/msg/RegionOfInterest'](x, y, height, width, False)
    return types[CAMERA_INFO](
        header, 480, 640, 'plumb_bob', np.zeros(5), np.array(k), np.eye(3).reshape(-1),
        np.zeros(12), *binning, region)


@pytest.mark.parametrize('settings, size, expected', [
    ({}, (480, 640), (500, 510, 320, 240)),
    ({'binning': (1, 1)}, (480, 640), (500, 510, 320, 240)),
    ({'binning': (2, 4)}, (120, 320), (250, 127.5, 160, 60)),
    ({'roi': (100, 40, 320, 240)}, (240, 320), (500, 510, 220, 200)),
    ({'roi': (100, 40, 320, 240), 'binning': (2, 2)}, (120, 160), (250, 255, 110, 100)),
])
def test_intrinsics_are_those_of_the_pictures_pixels(settings, size, expected):
    info = camera_info(**settings)
    assert image_size(info) == size
    assert match(info, size) == (info, Intrinsics(*expected), '')


def test_what_does_not_fit_is_said():
    none = match(None, (480, 640))
    assert (none.info, none.intrinsics, none.fault) == (None, None, 'no camera_info has come')
    other = match(camera_info(), (240, 320))
    assert other.info is None and other.intrinsics is None
    assert other.fault == 'camera_info is for 640x480, the image is 320x240'


def test_the_names_of_ros_1_and_a_matrix_of_the_pictures_pixels():
    old = camera_info(binning=(2, 2))
    upper = SimpleNamespace(K=old.k, D=old.d, height=old.height, width=old.width, roi=old.roi,
                            binning_x=2, binning_y=2)
    for info in (old, upper):
        assert list(values(info, 'd')) == [0] * 5
        np.testing.assert_array_equal(
            match(info, (240, 320)).intrinsics.matrix, ((250, 0, 160), (0, 255, 120), (0, 0, 1)))


@pytest.mark.parametrize('k', [
    (*K[:2], float('nan'), *K[3:]), (float('inf'), *K[1:]),
    (0.,) * 9, (0., *K[1:]), (*K[:4], 0., *K[5:]), (float('nan'), *K[1:])])
def test_a_camera_without_a_focal_length_is_not_calibrated(k):
    info = camera_info(k=k)
    found = match(info, (480, 640))
    assert found.info is info and found.intrinsics is None
    assert 'K is 0' in found.fault and 'not calibrated' in found.fault


P = (400., 0., 300., -30., 0., 410., 250., 0., 0., 0., 1., 0.)


def full_camera_info(p=P, d=(0.1, -0.2, 0.0, 0.0, 0.0), model='plumb_bob', **settings):
    info = camera_info(**settings)
    info.p, info.d, info.distortion_model = np.array(p), np.array(d), model
    return info


def test_a_rectified_image_belongs_to_p_and_a_raw_one_to_k_and_d():
    info = full_camera_info()
    assert match(info, (480, 640)).intrinsics == Intrinsics(
        500, 510, 320, 240, (0.1, -0.2, 0.0, 0.0, 0.0))
    assert match(info, (480, 640), rectified=True).intrinsics == Intrinsics(400, 410, 300, 250)
    half = full_camera_info(roi=(100, 40, 320, 240), binning=(2, 2))
    assert match(half, (120, 160), rectified=True).intrinsics == Intrinsics(200, 205, 100, 105)
    # A K of 0 does not matter to a rectified image.
    assert match(full_camera_info(k=(0.,) * 9), (480, 640), True).intrinsics.fx == 400


def test_a_rectified_image_without_p_belongs_to_k_only_if_nothing_had_to_be_rectified():
    assert match(full_camera_info((0.,) * 12, (0.,) * 5), (480, 640), True).intrinsics == (
        Intrinsics(500, 510, 320, 240))
    found = match(full_camera_info((0.,) * 12), (480, 640), True)
    assert found.intrinsics is None
    assert 'P is 0' in found.fault and 'rectified' in found.fault


@pytest.mark.parametrize('model, count, fisheye', [
    ('plumb_bob', 5, False), ('', 4, False), ('rational_polynomial', 8, False),
    ('equidistant', 4, True)])
def test_the_lens_has_the_coefficients_of_d(model, count, fisheye):
    found = match(full_camera_info(d=(0.1,) * count, model=model), (480, 640)).intrinsics
    assert (found.distortion, found.fisheye) == ((0.1,) * count, fisheye)
    # An ideal lens has no model.
    assert match(full_camera_info(d=(0.,) * count, model=model), (480, 640)).intrinsics == (
        Intrinsics(500, 510, 320, 240))


@pytest.mark.parametrize('model, d, message', [
    ('double_sphere', (0.1, 0.2), "unknown distortion model 'double_sphere'"),
    ('plumb_bob', (0.1, 0.2, 0.3), "3 distortion coefficients for 'plumb_bob'"),
    ('equidistant', (0.1,) * 5, "5 distortion coefficients for 'equidistant', expected 4"),
    ('plumb_bob', (0.1, float('nan'), 0, 0, 0), 'numbers')])
def test_a_lens_that_is_not_known_is_no_calibration_of_a_raw_image(model, d, message):
    info = full_camera_info(d=d, model=model)
    found = match(info, (480, 640))
    assert found.info is info and found.intrinsics is None
    assert message in found.fault
    assert match(info, (480, 640), rectified=True).intrinsics == Intrinsics(400, 410, 300, 250)


@pytest.mark.parametrize('topic, expected', [
    ('/camera/image_rect', True), ('/camera/image_rect_color', True), ('image_rect', True),
    ('/camera/image_rect/compressed', True), ('/infra1/image_rect_raw', True),
    ('/zed/rgb/color/rect/image', True), ('/left/rectified/image/compressed', True),
    ('/camera/image_raw', False), ('/image', False), ('/camera/image_raw/compressed', False),
    ('/rect_camera/image_raw', False), ('/camera/image_direct', False)])
def test_the_name_of_a_topic_says_whether_its_images_are_rectified(topic, expected):
    assert is_rectified(topic) is expected

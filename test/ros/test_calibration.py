# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What is read from a CameraInfo, by hand."""

from importlib import import_module

import pytest

pytest.importorskip('sensor_msgs', reason="needs ROS 2 (pip install '.[ros]')")
calibration = import_module('jrn_perception.ros.calibration')
CameraInfo = import_module('sensor_msgs.msg').CameraInfo
RegionOfInterest = import_module('sensor_msgs.msg').RegionOfInterest
Header = import_module('std_msgs.msg').Header
K = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]


def info_of(**fields):
    return CameraInfo(**{'height': 480, 'width': 640, 'k': K, **fields})


@pytest.mark.parametrize(('fields', 'size', 'expected'), [
    ({}, (480, 640), (500, 510, 320, 240)),
    ({'binning_x': 1, 'binning_y': 1}, (480, 640), (500, 510, 320, 240)),
    ({'binning_x': 4, 'binning_y': 2}, (240, 160), (125, 255, 80, 120)),
    ({'roi': RegionOfInterest(x_offset=100, y_offset=40, width=200, height=120)},
     (120, 200), (500, 510, 220, 200)),
    # The region is in pixels of the sensor: first it is cut out, then binned.
    ({'roi': RegionOfInterest(x_offset=100, y_offset=40, width=200, height=120),
      'binning_x': 2, 'binning_y': 2}, (60, 100), (250, 255, 110, 100))])
def test_the_pinhole_is_that_of_the_images(fields, size, expected):
    info = info_of(**fields)
    assert calibration.image_size(info) == size
    assert calibration.intrinsics(info) == expected
    found = calibration.match(info, size)
    assert found.info is info
    assert (found.intrinsics, found.fault) == (expected, '')
    assert calibration.match(info, (size[0] + 1, size[1])).info is None


@pytest.mark.parametrize('k', [
    [0.0] * 9, [0.0, *K[1:]], [*K[:4], 0.0, *K[5:]], [float('nan'), *K[1:]]])
def test_a_camera_without_a_focal_length_is_not_calibrated(k):
    found = calibration.match(info_of(k=k), (480, 640))
    assert found.info is not None
    assert found.intrinsics is None
    assert 'K is 0' in found.fault


def test_what_is_missing_is_said():
    assert calibration.match(None, (48, 64)) == (None, None, 'no camera_info has come')
    assert calibration.match(info_of(), (48, 64)) == (
        None, None, 'camera_info is for 640x480, the image is 64x48')


def test_another_header_leaves_the_original_alone():
    info = info_of(header=Header(frame_id='old'))
    matched = calibration.with_header(info, Header(frame_id='new'))
    assert (info.header.frame_id, matched.header.frame_id) == ('old', 'new')
    matched.header = info.header
    assert matched == info

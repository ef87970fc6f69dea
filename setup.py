# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Build for colcon (ament_python) and for pip."""

from glob import glob
from importlib.util import find_spec

from setuptools import find_packages, setup

package_name = 'jrn_perception'

# Without upper bounds: a robot's own numpy and torch (Jetson, CUDA) are kept where they serve.
# A runtime is an extra, because one is enough: torch, onnxruntime or openvino.
REQUIRES = ['numpy>=1.21', 'pyyaml>=5.4', 'safetensors>=0.4']

# OpenCV comes as python3-opencv (ROS), from JetPack, or under one of four names from PyPI, and a
# requirement can name but one: it would put a second cv2 over the one that is there, and with
# apt's cv2 would be unmet for ever. pip builds in an empty environment, finds none and asks for
# the wheel without a screen; colcon builds in the robot's environment and finds it.
# OpenCV 5 renumbered its type constants, which breaks cv_bridge (KeyError: 16).
if find_spec('cv2') is None:
    REQUIRES.append('opencv-python-headless>=4.5.4,<5')

EXTRAS = {
    # Fleets: recordings and results behind URLs, s3:// among them, and the engines.
    'fleet': ['fsspec', 's3fs'],
    'ray': ['ray>=2.9'],
    'dask': ['distributed'],
    # ROS 2 from PyPI, for machines without a ROS installation.
    'ros': [
        'ros-diagnostic-msgs',
        'ros-rclpy[fastrtps]',
        'ros-rosgraph-msgs',
        'ros-sensor-msgs',
        'ros-std-srvs',
    ],
    'torch': ['torch>=2.1'],
    # ONNX Runtime for Python 3.10 ends at 1.23.
    'onnxruntime': ['onnxruntime>=1.17'],
    # Replaces onnxruntime: both packages have the same files.
    'onnxruntime-gpu': ['onnxruntime-gpu>=1.17'],
    'openvino': ['openvino>=2024.0'],
    # Models of Hugging Face as sources of depth and semantics.
    'transformers': ['huggingface_hub', 'torch>=2.1', 'transformers>=4.45'],
    'export': ['onnx', 'onnxruntime>=1.17', 'onnxscript', 'torch>=2.1'],
    'predict': ['rich'],
    'play': ['rosbags>=0.11'],
    # The viewer's library for Python 3.11 and later.
    'rerun': ['rerun-sdk>=0.41'],
    'evaluate': ['h5py', 'jinja2', 'matplotlib', 'rich', 'rosbags>=0.11', 'scipy'],
    # WeightAveraging came with lightning 2.6.
    'train': ['h5py', 'jsonargparse>=4.27', 'kornia', 'lightning>=2.6', 'rich', 'scipy',
              'tflite>=2.10', 'torch>=2.1', 'torchmetrics', 'tqdm'],
    'docs': ['myst-parser', 'sphinx'],
    # Not `tests_require`, which setuptools 72 and later ignore. launch_testing's pytest plug-in
    # needs pytest before 8.4. The flake8 plug-ins are those that ROS's package ament_flake8 has.
    'test': [
        'colcon-common-extensions',
        'distributed',
        'flake8',
        'flake8-blind-except',
        'flake8-builtins',
        'flake8-class-newline',
        'flake8-comprehensions',
        'flake8-deprecated',
        'flake8-docstrings',
        'flake8-import-order',
        'flake8-quotes',
        'hypothesis>=6',
        'moto[server]>=5',
        'mypy>=1.11',
        'onnx',
        'onnxruntime>=1.17',
        'onnxscript',
        'openvino>=2024.0',
        'pydocstyle',
        'pytest>=7,<8.4',
        'pytest-xdist>=3.3',
        'myst-parser',
        'ray>=2.9',
        'rerun-sdk>=0.41; python_version >= "3.11"',
        'ros-ament-flake8',
        'ros-ament-pep257',
        'ruff',
        's3fs',
        'sphinx',
        'huggingface_hub',
        'transformers>=4.45',
    ],
}

SCRIPTS = ('node', 'convert', 'export', 'predict', 'play', 'train', 'average', 'distill',
           'evaluate', 'replay', 'calibrate')

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(include=[package_name, f'{package_name}.*']),
    package_data={package_name: ['py.typed', 'weights/shipped/*.safetensors',
                                 'weights/shipped/*.json', 'weights/shipped/onnx/*',
                                 'datasets/*.json',
                                 'evaluation/reports/*.html']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{package_name}']),
        (f'share/{package_name}', ['package.xml']),
        (f'share/{package_name}/launch', sorted(glob('launch/*.launch.py'))),
        (f'share/{package_name}/config', sorted(glob('config/*'))),
    ],
    python_requires='>=3.10',
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    zip_safe=False,
    author='The jrn_perception developers',
    maintainer='The jrn_perception developers',
    maintainer_email='maintainers@jrn-perception.invalid',
    description='Joint depth prediction and semantic segmentation from one camera, for ROS 2',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [f'jrn_{s} = {package_name}.cli.{s}:main' for s in SCRIPTS],
    },
)

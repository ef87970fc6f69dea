# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The documents as web pages, as rosdoc2 builds them."""

from pathlib import Path
import subprocess
import sys
from xml.etree import ElementTree

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent


def test_sphinx_builds_every_page_without_a_warning(tmp_path):
    pytest.importorskip('myst_parser', reason="needs the extra docs (pip install '.[docs]')")
    # -W makes errors of warnings: a page in no table of contents, a link to no heading.
    done = subprocess.run(
        [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b', 'html', '-d',
         str(tmp_path / 'doctrees'), 'docs', str(tmp_path / 'html')],
        cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in (REPOSITORY / 'docs').glob('*.md'):
        assert (tmp_path / 'html' / f'{page.stem}.html').is_file(), page.name
    html = (tmp_path / 'html' / 'tutorial_costmap.html').read_text()
    assert 'href="nav2.html#nav2"' in html and '<h2>1. Calibrate the camera' in html


def test_rosdoc2_finds_the_documents():
    manifest = ElementTree.parse(REPOSITORY / 'package.xml').getroot()
    head, settings = yaml.safe_load_all(
        (REPOSITORY / manifest.findtext('export/rosdoc2')).read_text())
    assert head == {'type': 'rosdoc2 config', 'version': 1}
    (builder,) = settings['builders']
    assert builder['sphinx']['name'] == manifest.findtext('name')
    assert (REPOSITORY / builder['sphinx']['sphinx_sourcedir'] / 'conf.py').is_file()

# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Sphinx: `make docs`, and rosdoc2 with rosdoc2.yaml."""

project = 'jrn_perception'
copyright = '2026, The jrn_perception developers'  # noqa: A001 Sphinx reads this name
extensions = ['myst_parser']
# Links such as node.md#parameters lead to headings.
myst_heading_anchors = 3
html_theme = 'alabaster'

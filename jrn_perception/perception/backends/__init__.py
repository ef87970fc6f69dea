# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Runtimes that execute a network: torch, ONNX Runtime, OpenVINO (``interface.Backend``)."""

# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What a machine without torch can run, as an error message."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def explain_missing_torch(source: str) -> Iterator[None]:
    """Turn the failed import of torch for the weights ``source`` into a ValueError."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != 'torch':
            raise
        raise ValueError(
            f"{source}: these weights need torch, which is missing: pip install '.[torch]'; "
            'without torch run the HydraNet that comes with the package (architecture:=hydranet) '
            'or an ONNX file that jrn_export wrote') from error

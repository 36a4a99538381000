# SPDX-License-Identifier: Apache-2.0
"""Lets torchvision's registry wheel be imported beside a torch without CUDA, in the test environment alone.

The wheel's operators are built for CUDA and do not load; two of their schemas are looked for at import.
`make test-original` puts this beside the packages, with a `.pth` file that imports it: nothing happens
until somebody asks for torchvision.
"""

import sys
from importlib.abc import MetaPathFinder
from typing import Any

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_KEPT: list[Any] = []
"""A library's definitions last as long as the object."""


class _BeforeTorchvision(MetaPathFinder):
    """Defines the schemas when torchvision is first looked for, and finds nothing itself."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname != "torchvision":
            return
        sys.meta_path.remove(self)
        import torch

        if torch.version.cuda is None:
            library = torch.library.Library("torchvision", "FRAGMENT")
            for name in ("nms", "qnms"):
                library.define(f"{name}{_SCHEMA}")
            _KEPT.append(library)


sys.meta_path.insert(0, _BeforeTorchvision())

# SPDX-License-Identifier: Apache-2.0
"""Three predictions made one: how far to go with the text, and how far with the references.

Shapes: B samples, C latent channels, H, W latent cells.
"""

from torch import Tensor


def guided(
    none_BCHW: Tensor, image_BCHW: Tensor, full_BCHW: Tensor, text_scale: float, image_scale: float
) -> Tensor:
    """none + text_scale (full - image) + image_scale (image - none) (spec section 2.7).

    Args:
        none_BCHW: predicted without text, map and references.
        image_BCHW: with map and references.
        full_BCHW: with all of them.
        text_scale: 1 for no guidance.
        image_scale: 1 for no guidance.
    """
    return none_BCHW + text_scale * (full_BCHW - image_BCHW) + image_scale * (image_BCHW - none_BCHW)


def personalised(place: int, steps: int, alpha: float) -> bool:
    """Whether a step still draws the subject; the base model draws the rest from plain text (equation 4).

    Args:
        place: of the step, from 0.
        steps: in all.
        alpha: 0 for a subject in every step, 1 for none.

    Raises:
        ValueError: if alpha is not in [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it must be in [0, 1]")
    # Time runs from 1 down: this step's is 1 - place / steps, and it is drawn while that is above alpha.
    return steps - place > alpha * steps

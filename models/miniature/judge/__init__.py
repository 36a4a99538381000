# SPDX-License-Identifier: Apache-2.0
"""What a picture of the world shows, read by a network that was trained on rendered truth.

It measures; nothing is ever trained against it or guided by it.
"""

from models.miniature.judge.network import JudgeNetwork
from models.miniature.judge.read import Judge, Reading, SeenSubject

__all__ = ["Judge", "JudgeNetwork", "Reading", "SeenSubject"]

# SPDX-License-Identifier: Apache-2.0
"""The procedural world: subjects with an identity, placed in front of a background.

A *noun* (cat, mug) is a family of shapes; an *identity* fixes everything that makes one subject
this one and no other: colours, pattern, build, trait. A *scene* places one to three subjects and
knows its caption, boxes and masks exactly. Everything is a pure function of `(seed, index)`.
"""

from models.miniature.world.caption import caption_of
from models.miniature.world.identity import MARKS, Identity, all_identities, sample_identity
from models.miniature.world.prompt import Mention, Prompt, prompt_about, sample_prompt
from models.miniature.world.render import Rendered, RenderedSubject, render_scene
from models.miniature.world.scene import Placement, Scene, sample_scene
from models.miniature.world.split import held_out_identity, held_out_prompt, held_out_prompts
from models.miniature.world.truth import scenes_of, truth_record, write_scenes
from models.miniature.world.vocabulary import BACKGROUNDS, BUILDS, COLOURS, NOUNS, PATTERNS, TRAITS

__all__ = [
    "BACKGROUNDS",
    "BUILDS",
    "COLOURS",
    "MARKS",
    "NOUNS",
    "PATTERNS",
    "TRAITS",
    "Identity",
    "Mention",
    "Placement",
    "Prompt",
    "Rendered",
    "RenderedSubject",
    "Scene",
    "all_identities",
    "caption_of",
    "held_out_identity",
    "held_out_prompt",
    "held_out_prompts",
    "prompt_about",
    "render_scene",
    "sample_identity",
    "sample_prompt",
    "sample_scene",
    "scenes_of",
    "truth_record",
    "write_scenes",
]

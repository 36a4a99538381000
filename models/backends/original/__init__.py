# SPDX-License-Identifier: Apache-2.0
"""The authors' own checkpoints: read, laid out, run by their own packages, and renamed for transformers.

Sizes are read from the weights themselves; no configuration of theirs is executed.
"""

# SPDX-License-Identifier: Apache-2.0
"""Evaluations: every method on the same subjects, prompts and seeds, measured and told."""

# SPDX-License-Identifier: Apache-2.0
"""Neural things, usable alone in a notebook; nothing here knows of stages, Ray or the CLI."""

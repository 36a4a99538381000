# SPDX-License-Identifier: Apache-2.0
"""What an exported folder tells of its training."""

TOLD = "training.json"
"""Name of the file: its `config`, and how many `steps` were done."""

# SPDX-License-Identifier: Apache-2.0
"""Measurements that the README quotes; each module is a command: `python -m benchmarks.quality`."""

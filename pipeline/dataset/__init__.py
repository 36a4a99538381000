# SPDX-License-Identifier: Apache-2.0
"""The dataset on disk: where everything is, finishing it, checking it, reading and drawing a sample."""

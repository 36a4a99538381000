# SPDX-License-Identifier: Apache-2.0
"""A shard's files: what is in them, and how they come to be all there or not at all."""

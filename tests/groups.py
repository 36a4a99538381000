# SPDX-License-Identifier: Apache-2.0
"""Which tests must not run at the same time as others, where several processes share the work."""

STARTS_RAY = "ray"
"""Ray chooses free ports and binds them later: clusters that start together may choose the same one."""

# SPDX-License-Identifier: Apache-2.0
"""Whether Subject-Diffusion draws the subject that it is given, on the miniature."""

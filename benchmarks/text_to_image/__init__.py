# SPDX-License-Identifier: Apache-2.0
"""How good the miniature's text-to-image model is, by what its pictures show."""

# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around a build, done to it on purpose: each module does one kind of it and counts."""

# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with datasets, done on purpose, and whether it is noticed."""

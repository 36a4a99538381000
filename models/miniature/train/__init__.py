# SPDX-License-Identifier: Apache-2.0
"""How the shipped weights were made. Every training can be stopped at any moment and goes on."""

# SPDX-License-Identifier: Apache-2.0
"""Which units of work exist, where they run, and what was done: CLI, configuration, Ray, dataset, report."""

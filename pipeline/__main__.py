# SPDX-License-Identifier: Apache-2.0
"""`python -m pipeline` is the command `subjectforge`."""

from pipeline.cli import main

main()

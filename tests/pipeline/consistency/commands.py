# SPDX-License-Identifier: Apache-2.0
"""`tune` and `generate --method` as a user calls them, quickly."""

from tests.pipeline.runs import subjectforge

QUICK = ("--steps", "2", "--device", "cpu")


def generated(method, prompts, output, *more):
    common = ("--subject", "a cat", "--prompts", prompts, "--output", output)
    return subjectforge("generate", "--method", method, *common, *QUICK, *more)


def tuned(method, output, *more):
    return subjectforge("tune", "--method", method, "--output", output, *QUICK, *more)

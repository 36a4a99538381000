# SPDX-License-Identifier: Apache-2.0
"""How several processes share the tests: a file stays in one, and all files that start Ray in the same one.

Ray chooses free ports and binds them later, so clusters that start together may choose the same one.
"""

from xdist.scheduler import LoadScopeScheduling

STARTS_RAY = (
    "benchmarks/test_disk.py",
    "benchmarks/test_faults.py",
    "pipeline/test_build.py",
    "pipeline/test_build_mistakes.py",
    "pipeline/test_build_s3.py",
    "pipeline/test_isolation.py",
    "pipeline/test_metrics.py",
    "pipeline/test_misbehaving.py",
    "pipeline/test_odd_pictures.py",
    "pipeline/test_ray_job.py",
    "pipeline/test_ray_start.py",
    "pipeline/test_stopping.py",
    "pipeline/evaluate/test_on_ray.py",
    "pipeline/planning/test_command.py",
    "pipeline/train/test_on_ray.py",
)


class OneRay(LoadScopeScheduling):
    """By file, but for those."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "ray" if path.endswith(STARTS_RAY) else path

# SPDX-License-Identifier: Apache-2.0
"""A script such as those that come with Grounded-SAM: one process, one picture after another.

COMMAND  python -m benchmarks.rivals.sequential IN OUT [--batch 1] [--threads 1]
"""

import pyarrow as pa

from benchmarks.rivals.chain import ALL, asked, jobs, table_of, through, write_tar


def main() -> None:
    """All pictures of a folder."""
    parser = asked(__doc__)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of the models")
    arguments = parser.parse_args()
    for paths, tar in jobs(arguments.source, arguments.output):
        done = [
            through(ALL, table_of(paths[place : place + arguments.batch]), arguments.threads)
            for place in range(0, len(paths), arguments.batch)
        ]
        write_tar(tar, pa.concat_tables(done, promote_options="default"))


if __name__ == "__main__":
    main()

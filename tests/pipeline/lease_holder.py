# SPDX-License-Identifier: Apache-2.0
"""A process that does as it is told, a JSON object a line: take a lease, say what it sees, give it back.

With `--no-locks` it finds itself on a file system that has none.
"""

import errno
import fcntl
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from pipeline.errors import UserError
from pipeline.lease import Lease


def main() -> None:
    if "--no-locks" in sys.argv:
        fcntl.flock = refuse
    with ExitStack() as stack:
        lease = None
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            answer = {}
            if order["do"] == "take":
                options = {name: order[name] for name in ("every", "patience", "settle") if name in order}
                while time.monotonic() < order.get("at", 0.0):
                    pass
                try:
                    lease = stack.enter_context(Lease.take(Path(order["root"]), **options))
                    answer = {"token": lease.token}
                except UserError as error:
                    answer = {"refused": str(error)}
            elif lease and order["do"] == "stop":
                lease.stop_new_work()
            elif lease and order["do"] == "wait_until_lost":
                answer = {"lost": lease.lost.wait(60)}
            elif order["do"] == "release":
                stack.close()
            print(json.dumps(answer), flush=True)


def refuse(*_: object) -> None:
    raise OSError(errno.ENOTSUP, "no locks here")


if __name__ == "__main__":
    main()

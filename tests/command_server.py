# SPDX-License-Identifier: Apache-2.0
"""Runs commands in processes that are forked off one which has imported everything already.

Importing takes longer than most commands do. A line of JSON on standard input asks for a command, one on
standard output has its exit code; what it prints goes to the files that were named.
"""

import atexit
import gc
import importlib
import json
import os
import sys
from typing import Any

HEAVY = (
    "pipeline.cli",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "transformers.models.clip.modeling_clip",
    "pyarrow.parquet",
    "spacy",
    "models.generation",
    "pipeline.consistency.asked",
    "pipeline.consistency.tune",
    "pipeline.train.session",
)


def serve() -> None:
    """Until nothing more is asked for; it returns in children alone, to become the command."""
    for name in HEAVY:
        importlib.import_module(name)
    # Children would copy what a collection touches.
    gc.freeze()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            _become(asked)
            return
        print(json.dumps({"process": child}), flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)
    sys.exit(0)


def _become(asked: dict[str, Any]) -> None:
    """The process that the command would have had."""
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = ((os.devnull, os.O_RDONLY), (asked["out"], writing), (asked["err"], writing))
    for number, (name, flags) in enumerate(files):
        opened = os.open(name, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(asked["cwd"])
    sys.argv = ["subjectforge", *asked["arguments"]]


def run() -> int:
    """The command; returns its exit code."""
    from pipeline.cli import main

    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    serve()
    code = run()
    # What a process does at its end, but for taking all that is imported apart.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

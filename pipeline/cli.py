# SPDX-License-Identifier: Apache-2.0
"""The command line. Everything heavy is imported by the command that needs it, so `--help` is instant."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli_drawing import generate, tune
from pipeline.cli_evaluate import evaluate
from pipeline.cli_miniature import miniature
from pipeline.cli_options import (
    Address,
    Config,
    Dataset,
    Grace,
    Limit,
    RunsOn,
    Set,
    StallAfter,
    StallLimit,
    run_options,
)
from pipeline.closed_pipe import outlive_readers
from pipeline.errors import UserError
from pipeline.executor import Executor
from pipeline.guard import check_packages
from pipeline.leaving import leave
from stages.shard.place import Place, place

_WrongUsage: Any = typer.BadParameter.__bases__[0]
"""`UsageError` of the click that typer brings."""
_STOPPED = 130
"""What shells and typer make of a Ctrl-C."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Pictures in, a verified subject dataset out: captions, nouns, boxes, masks.",
)
app.add_typer(miniature, name="miniature")


@app.command()
def build(
    config: Config,
    source: Annotated[str, typer.Option("--input", help="Folder, tars or parquet: a path or a URI")],
    output: Annotated[str, typer.Option(help="The dataset's folder: a path or a URI")],
    overrides: Set = None,
    limit: Limit = None,
    extend: Annotated[bool, typer.Option("--extend", help="Add what the input has got since")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Remove another build's dataset")] = False,
    executor: RunsOn = Executor.ray,
    address: Address = None,
    grace: Grace = 25.0,
    stall_after: StallAfter = 5.0,
    stall_limit: StallLimit = 60.0,
) -> None:
    """Build a dataset; run the same command again to go on where it stopped."""
    from pipeline.build_command import build_dataset
    from pipeline.config import load_config
    from pipeline.survey import Request, Way

    if extend and overwrite:
        raise UserError("--extend and --overwrite exclude one another; give one of them")
    way = Way.extend if extend else Way.overwrite if overwrite else Way.resume
    request = Request(load_config(config, overrides or ()), source, _place(output), limit, way)
    raise typer.Exit(build_dataset(request, run_options(executor, address, grace, stall_after, stall_limit)))


@app.command()
def retry(
    dataset: Dataset,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="By status, stage, reason, key or source_key; repeatable"),
    ] = None,
    source: Annotated[str | None, typer.Option("--input", help="The input, if it has moved")] = None,
    overrides: Set = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Even with other configuration, code or weights")
    ] = False,
    executor: RunsOn = Executor.ray,
    address: Address = None,
    grace: Grace = 25.0,
    stall_after: StallAfter = 5.0,
    stall_limit: StallLimit = 60.0,
) -> None:
    """Make rows anew that failed or were rejected; the new rows take the place of the old ones."""
    from pipeline.build_command import retry_rows
    from pipeline.retry import RetryRequest

    conditions, changed = tuple(where or ("status=error",)), tuple(overrides or ())
    request = RetryRequest(_place(dataset), conditions, source, changed, accept_changes)
    raise typer.Exit(retry_rows(request, run_options(executor, address, grace, stall_after, stall_limit)))


@app.command()
def plan(
    config: Config,
    overrides: Set = None,
    source: Annotated[str | None, typer.Option("--input", help="Folder, tars or parquet")] = None,
    output: Annotated[str | None, typer.Option(help="The dataset's folder: a path or a URI")] = None,
    limit: Limit = None,
    probe: Annotated[int | None, typer.Option(min=2, help="Measure N images in the real stages")] = None,
    measured: Annotated[Path | None, typer.Option(help="File of a probe: written, or read")] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Of the whole source; else counted")] = None,
    gpus: Annotated[int, typer.Option(min=0, help="Of the cluster that the bill is for")] = 0,
    cpus: Annotated[int | None, typer.Option(min=1, help="Of that cluster; else this machine's")] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Of that cluster; else 8 GPUs each")] = None,
    memory: Annotated[float | None, typer.Option(min=0.1, help="RAM of a node, GiB, to check")] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Of a GPU-hour (CPU-hour without GPUs)")] = None,
    failures: Annotated[float, typer.Option(min=0, max=3600, help="Of a worker in an hour")] = 0.0,
    spare_nodes: Annotated[int, typer.Option(min=0, help="Nodes whose loss is to stop nothing")] = 0,
    as_configured: Annotated[
        bool, typer.Option("--as-configured", help="Keep the pools as they are")
    ] = False,
) -> None:
    """Show what a build would do; touches nothing. With --probe or --measured also what it would cost."""
    from rich.console import Console

    from pipeline.config import load_config
    from pipeline.plan import capacity_lines, plan_table, shard_line

    checked = load_config(config, overrides or ())
    if probe is not None or measured is not None:
        from psutil import virtual_memory

        from pipeline.planning.command import BillRequest, bill

        if output:
            raise UserError(
                "a bill is for a whole source; leave --output out, and give --images for a part of it"
            )
        if gpus and not cpus:
            raise UserError(f"how many CPUs has the cluster of {gpus} GPUs? give --cpus")
        found = bill(
            BillRequest(
                config=checked,
                source=source,
                probe=probe,
                measured=measured,
                images=images,
                limit=limit,
                gpus=gpus,
                cpus=cpus or os.cpu_count() or 1,
                nodes=nodes,
                memory=memory if memory or cpus or nodes else virtual_memory().total / 2**30,
                price=price,
                failures=failures,
                as_configured=as_configured,
                spare_nodes=spare_nodes,
            )
        )
        Console(width=None if sys.stdout.isatty() else 200).print(found.pool_table())
        print("\n".join(found.lines()))
        return
    if images or gpus or cpus or nodes or memory or price or failures or spare_nodes or as_configured:
        raise UserError(
            "a bill is made of what was measured; give --probe N with --input, or --measured FILE"
        )
    lines = [*capacity_lines(checked), shard_line(checked, source, _place(output) if output else None, limit)]
    Console(width=None if sys.stdout.isatty() else 160).print(plan_table(checked))
    print("\n".join(lines))


@app.command()
def verify(
    dataset: Dataset,
    deep: Annotated[bool, typer.Option("--deep", help="Decode every image as well")] = False,
) -> None:
    """Check a dataset byte by byte; exit 1 and name what is damaged."""
    from pipeline.verify_command import verify_dataset

    raise typer.Exit(verify_dataset(_place(dataset), deep))


@app.command()
def inspect(
    dataset: Dataset,
    key: Annotated[str, typer.Option(help="A sample's key, or its source key")],
    png: Annotated[Path | None, typer.Option(help="Where to save the picture; KEY.png if not given")] = None,
) -> None:
    """Show one sample: its fields, and a PNG with boxes and masks drawn."""
    from pipeline.dataset.draw import overlay
    from pipeline.dataset.read_sample import describe, find_sample

    sample = find_sample(_place(dataset), key)
    print(describe(sample))
    if sample.jpg:
        place = png or Path(f"{sample.key}.png")
        try:
            overlay(sample).save(place)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot save the picture as {place}: {error}; give another --png") from error
        print(f"picture      {place.resolve()}")


app.command()(generate)
app.command()(tune)
app.command()(evaluate)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML file, for instance configs/train/miniature.yaml")],
    output: Annotated[Path, typer.Option(help="The run's folder; given again, it goes on there")],
    overrides: Set = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="That Ray Train starts; or use `torchrun -m pipeline train`"),
    ] = None,
    address: Address = None,
) -> None:
    """Train Subject-Diffusion on a dataset; run the same command again to go on where it stopped."""
    from pipeline.train.config import load_train_config

    checked = load_train_config(config, overrides or ())
    if processes is None and address is not None:
        raise UserError("--address is Ray's; say with --processes how many are to train there")
    if processes is not None:
        from pipeline.train.on_ray import train_on_ray

        raise typer.Exit(train_on_ray(checked, output, processes, address))
    from pipeline.train.command import train_subjects

    raise typer.Exit(train_subjects(checked, output))


@app.command()
def report(dataset: Dataset) -> None:
    """Write report.html again."""
    from pipeline.dataset.layout import is_evaluation
    from pipeline.report import write_report

    root = _place(dataset)
    if is_evaluation(root):
        raise UserError(f"{root} is an evaluation; `subjectforge evaluate` again writes its report")
    print(write_report(root).resolve())


@app.command()
def convert(
    checkpoint: Annotated[
        Path, typer.Option("--from-original", help="The authors' .pth of Grounding DINO or SAM")
    ],
    folder: Annotated[Path, typer.Option("--to", help="A new folder, which transformers loads")],
    text: Annotated[
        str, typer.Option(help="Hub name or folder of Grounding DINO's tokenizer")
    ] = "google-bert/bert-base-uncased",
    picture: Annotated[Path | None, typer.Option(help="To compare both on; a drawn one by itself")] = None,
    decoder_heads: Annotated[
        int, typer.Option(min=1, help="Of SAM's mask decoder; 8 in all published models")
    ] = 8,
) -> None:
    """Make a folder that transformers loads of an original checkpoint, and compare the two."""
    from pipeline.convert import ConvertRequest, convert

    for line in convert(ConvertRequest(checkpoint, folder, text, decoder_heads, picture)):
        print(line, flush=True)


@app.command()
def ls(what: Annotated[str, typer.Argument(help="stages, backends, methods or metrics")]) -> None:
    """List stages, backends, methods or metrics with their fields, defaults and a line of help."""
    from pipeline.listings import backend_lines, method_lines, metric_lines, stage_lines

    tables = {"stages": stage_lines, "backends": backend_lines, "methods": method_lines}
    tables["metrics"] = metric_lines
    if what not in tables:
        raise UserError(f"ls {what}: expected {' or '.join(tables)}")
    print("\n".join(tables[what]()))


def _place(text: str) -> Place:
    if not text.strip():
        raise UserError("the dataset's name is empty; give a folder")
    try:
        found = place(text)
        str(found.absolute() if isinstance(found, Path) else found).encode()
        return found
    except UnicodeEncodeError as error:
        raise UserError(
            f"the folder {text!r} has a name that is not UTF-8; give the dataset another"
        ) from error
    except FileNotFoundError as error:
        raise UserError("the current folder is gone; go to another one") from error
    except ValueError as error:
        raise UserError(str(error)) from error


_SHORT = {"convert", "generate", "tune"}
"""Commands that keep nothing of what they have not finished."""


def main() -> None:
    """Run the command; a user's mistake is one line and exit code 2."""
    outlive_readers()
    try:
        check_packages()
        code = _run()
        if code == _STOPPED:
            then = "begins anew" if {*sys.argv[1:2]} & _SHORT else "goes on"
            print(f"subjectforge: stopped; the same command again {then}", file=sys.stderr)
        leave(code or 0)
    except UserError as error:
        message = " ".join(str(error).splitlines())
    except OSError as error:
        if error.filename is None:
            raise
        message = f"{error.filename}: {error.strerror}; mend this and run the same command again"
    except _WrongUsage as error:
        message = error.format_message()
        if not message or type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            leave(2)
    print(f"subjectforge: {message}", file=sys.stderr)
    leave(2)


def _run() -> int:
    try:
        return app(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return _STOPPED


if __name__ == "__main__":
    main()

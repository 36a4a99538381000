# SPDX-License-Identifier: Apache-2.0
"""The command line. Everything heavy is imported by the command that needs it, so `--help` is instant."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli_miniature import miniature
from pipeline.errors import UserError
from pipeline.guard import check_packages

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Pictures in, a verified subject dataset out: captions, nouns, boxes, masks.",
)
app.add_typer(miniature, name="miniature")

Config = Annotated[Path, typer.Argument(help="YAML file, for instance configs/build/miniature.yaml")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="K=V", help="Override a value; repeatable")]
Dataset = Annotated[Path, typer.Argument(help="A dataset's folder")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N images of the input")]


@app.command()
def build(
    config: Config,
    source: Annotated[str, typer.Option("--input", help="Folder, tars or parquet: a path or a URI")],
    output: Annotated[Path, typer.Option(help="The dataset's folder")],
    overrides: Set = None,
    limit: Limit = None,
    executor: Annotated[str, typer.Option(help="`ray`, or `local` for one process")] = "ray",
    address: Annotated[str | None, typer.Option(help="Ray cluster; a local one if not given")] = None,
) -> None:
    """Build a dataset; run the same command again to go on where it stopped."""
    from pipeline import build as steps
    from pipeline.config import load_config
    from pipeline.run_ray import RayOptions

    job = steps.prepare(load_config(config, overrides or ()), source, output, limit)
    print(
        f"{job.items} images in {job.shards} shards: {job.shards - len(job.todo)} done, {len(job.todo)} to do"
    )
    if job.ignored:
        print(f"{job.ignored} other file{'s' if job.ignored > 1 else ''} ignored")
    if not job.todo and (output / "report.html").exists():
        print(f"nothing to do: {output} is complete")
        print(f"report       {(output / 'report.html').resolve()}")
        return
    outcome = steps.execute(job, executor, RayOptions(address))
    report = steps.finish(output)
    rate = outcome.images / max(outcome.seconds, 1e-9)
    print(
        f"built {outcome.images} images in {outcome.seconds:.0f} s ({rate:.1f} images/s, start-up included)"
    )
    print("\n".join([*steps.summary(output), f"report       {report.resolve()}"]))


@app.command()
def plan(
    config: Config,
    overrides: Set = None,
    source: Annotated[str | None, typer.Option("--input", help="Folder, tars or parquet")] = None,
    output: Annotated[Path | None, typer.Option(help="The dataset's folder")] = None,
    limit: Limit = None,
) -> None:
    """Show what a build would do; touches nothing, loads no model."""
    from rich.console import Console

    from pipeline.config import load_config
    from pipeline.plan import capacity_lines, plan_table, shard_lines

    checked = load_config(config, overrides or ())
    Console(width=None if sys.stdout.isatty() else 160).print(plan_table(checked))
    print("\n".join([*capacity_lines(checked), *shard_lines(checked, source, output, limit)]))


@app.command()
def verify(
    dataset: Dataset,
    deep: Annotated[bool, typer.Option("--deep", help="Decode every image as well")] = False,
) -> None:
    """Check a dataset byte by byte; exit 1 and name what is damaged."""
    from pipeline.dataset.layout import all_shards
    from pipeline.dataset.verify import verify as check
    from pipeline.progress import shown

    with shown(len(all_shards(dataset))) as tell:
        result = check(dataset, deep=deep, progress=tell)
    for problem in result.problems:
        print(problem)
    print(result.line())
    raise typer.Exit(1 if result.problems else 0)


@app.command()
def inspect(
    dataset: Dataset,
    key: Annotated[str, typer.Option(help="A sample's key, or its source key")],
    png: Annotated[Path | None, typer.Option(help="Where to save the picture; KEY.png if not given")] = None,
) -> None:
    """Show one sample: its fields, and a PNG with boxes and masks drawn."""
    from pipeline.dataset.draw import overlay
    from pipeline.dataset.read_sample import describe, find_sample

    sample = find_sample(dataset, key)
    print(describe(sample))
    if sample.jpg:
        place = png or Path(f"{sample.key}.png")
        overlay(sample).save(place)
        print(f"picture      {place.resolve()}")


@app.command()
def report(dataset: Dataset) -> None:
    """Write report.html again."""
    from pipeline.report import write_report

    print(write_report(dataset).resolve())


@app.command()
def ls(what: Annotated[str, typer.Argument(help="stages or backends")]) -> None:
    """List stages or backends with their fields, defaults and a line of help."""
    from pipeline.listings import backend_lines, stage_lines

    tables = {"stages": stage_lines, "backends": backend_lines}
    if what not in tables:
        raise UserError(f"ls {what}: expected {' or '.join(tables)}")
    print("\n".join(tables[what]()))


def main() -> None:
    """Run the command; a user's mistake is one line and exit code 2."""
    try:
        check_packages()
        app()
    except UserError as error:
        print(f"subjectforge: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The commands that draw pictures, and that learn a subject for it."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli_options import Set


def generate(
    prompt: Annotated[str | None, typer.Option(help="What to draw")] = None,
    count: Annotated[
        int | None, typer.Option("--n", min=1, help="How many pictures of the prompt; 8 usually")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "--out", help="Folder for the pictures")] = Path(
        "runs/generated"
    ),
    model: Annotated[
        str | None, typer.Option(help="diffusers folder or hub name; a shipped miniature if not given")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Commit or tag on the hub")] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="PICTURE[:LABEL]", help="A subject for Subject-Diffusion to draw; repeatable"),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="X0,Y0,X1,Y1", help="Where each subject is to be, in [0, 1]; or random"),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**62, help="Of the first picture; the next has the next")
    ] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps")] = 30,
    guidance: Annotated[
        float | None, typer.Option(min=1, help="By the text; 1 is none, the model's usual if not given")
    ] = None,
    image_guidance: Annotated[
        float | None, typer.Option(min=1, help="By the references; 1 is none, the model's usual if not given")
    ] = None,
    alpha: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the last steps that see the prompt, not the references"),
    ] = 0.0,
    base: Annotated[str | None, typer.Option(help="Text-to-image model for those steps")] = None,
    builder: Annotated[
        Path | None, typer.Option(help="Build configuration whose models cut the references out")
    ] = None,
    negative: Annotated[str | None, typer.Option(help="What to stay away from")] = None,
    method: Annotated[
        str | None, typer.Option(help="That keeps a subject the same over many prompts; see `ls methods`")
    ] = None,
    subject: Annotated[
        list[str] | None, typer.Option(help='For a method: what prompts call it, "a red fox"; repeatable')
    ] = None,
    prompts: Annotated[Path | None, typer.Option(help="For a method: a file with a prompt a line")] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="1,2", help="For a method: a set of all prompts for each")
    ] = None,
    state: Annotated[
        list[Path] | None, typer.Option(help="For a method: the --output of `tune`; repeatable")
    ] = None,
    strength: Annotated[
        list[float] | None, typer.Option(help="For DCO and DreamBooth: of each --state's changes; 1 usually")
    ] = None,
    layout: Annotated[
        Path | None, typer.Option(help="For Cones 2: JSON with a region for each subject; or --box")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="K=V", help="For a method: an option; repeatable")
    ] = None,
    masks: Annotated[
        bool, typer.Option("--masks", help="For ConsiStory: show where the subjects were found, in masks.png")
    ] = False,
    size: Annotated[
        int | None, typer.Option(min=8, max=8192, help="Pixels of a side; the model's own by itself")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 1,
) -> None:
    """Draw pictures of a prompt, with given subjects in them if there are references.

    With --method sets of pictures with the same subject in all of them.
    """
    from pipeline.generate_request import GenerateRequest, generate_lines

    request = GenerateRequest(
        prompt=prompt or "",
        method=method,
        subjects=tuple(subject or ()),
        prompts=prompts,
        seeds=seeds,
        states=tuple(state or ()),
        strengths=tuple(strength or ()),
        layout=layout,
        overrides=tuple(overrides or ()),
        masks=masks,
        count=count,
        output=output,
        model=model,
        revision=revision,
        references=tuple(reference or ()),
        boxes=tuple(box or ()),
        seed=seed,
        steps=steps,
        guidance=guidance,
        image_guidance=image_guidance,
        alpha=alpha,
        base=base,
        builder=builder,
        negative=negative,
        size=size,
        device=device,
        threads=threads,
    )
    for line in generate_lines(request):
        print(line)


def tune(
    method: Annotated[str, typer.Option(help="That learns a subject; see `ls methods`")],
    subject: Annotated[
        list[str], typer.Option(help='What prompts call it, such as "a red fox"; several are learnt together')
    ],
    output: Annotated[Path, typer.Option("--output", "--out", help="Folder for what is learnt")],
    model: Annotated[
        str, typer.Option(help="diffusers folder or hub name; the shipped miniature if not given")
    ] = "miniature:text2image",
    revision: Annotated[str | None, typer.Option(help="Commit or tag on the hub")] = None,
    reference: Annotated[
        list[str] | None, typer.Option(metavar="PICTURE", help="Of the subject; repeatable")
    ] = None,
    caption: Annotated[
        list[str] | None, typer.Option(help="Of each --reference, with the subject's noun; repeatable")
    ] = None,
    builder: Annotated[
        Path | None, typer.Option(help="Build configuration whose captioner says what else references show")
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="For OneActor: that draws the subject first; for ConsiStory: of each anchor"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="For ConsiStory: of the anchors")] = 0,
    negative: Annotated[
        str | None, typer.Option(help="What pictures that are drawn first are not to show")
    ] = None,
    overrides: Set = None,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps, where pictures are drawn first")] = 30,
    guidance: Annotated[float, typer.Option(min=1, help="By the text, where pictures are drawn")] = 5.0,
    size: Annotated[int | None, typer.Option(min=8, help="Pixels of a side; the model's own usually")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 1,
) -> None:
    """Learn a subject once, for `generate --method ... --state`."""
    from pipeline.consistency.request import MethodRequest, sampler_of
    from pipeline.consistency.tune import References, tune_subject

    sampler = sampler_of(
        model=model,
        revision=revision,
        steps=steps,
        guidance=guidance,
        size=size,
        device=device,
        threads=threads,
    )
    request = MethodRequest(
        method=method,
        subjects=tuple(subject),
        overrides=tuple(overrides or ()),
        sampler=sampler,
        negative=negative,
    )
    references = References(tuple(reference or ()), tuple(caption or ()), builder)
    for line in tune_subject(request, references, prompt or (), seed, output):
        print(line)

# SPDX-License-Identifier: Apache-2.0
"""What `miniature train` refuses, in one line."""

import pytest
import torch

from models.miniature.train import judge
from models.miniature.train.loop import OtherRecipe, train
from pipeline.errors import UserError
from pipeline.train_miniature import TrainOptions, train_part
from tests.pipeline.runs import one_line, subjectforge


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tagger", "--device", "cuda"), "takes no --device"),
        (("segmenter", "--steps", "3"), "takes no --device, --workers or --steps"),
        (("clip", "--begin", "somewhere"), "leave --begin out"),
        (("text2image", "--begin", "somewhere"), "no saved pipeline"),
        (("painter",), "'painter'"),
        (("judge", "--device", "nosuch"), "expected cpu, cuda or cuda:N"),
        (("text2image",), "train it first with `subjectforge miniature train autoencoder --run"),
    ],
)
def test_what_a_model_cannot_be_trained_with(tmp_path, arguments, words):
    line = one_line(subjectforge("miniature", "train", *arguments, "--run", tmp_path / "run"))
    assert words in line
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no GPU"):
        train_part("judge", tmp_path, 1, TrainOptions(device="cuda"))


def test_a_training_of_another_length_in_the_same_folder(tmp_path, monkeypatch):
    def begun(folder, cache, recipe, log, machine):
        model = torch.nn.Linear(2, 1)
        train(model, lambda step: {"sum": model.weight.square().sum()}, recipe, folder, log)
        return folder

    monkeypatch.setattr(judge, "train_judge", begun)
    train_part("judge", tmp_path, 1, TrainOptions(steps=2))
    with pytest.raises(UserError, match="another schedule; move it away") as refusal:
        train_part("judge", tmp_path, 1, TrainOptions(steps=3))
    assert isinstance(refusal.value.__cause__, OtherRecipe)

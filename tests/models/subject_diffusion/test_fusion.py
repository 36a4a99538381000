# SPDX-License-Identifier: Apache-2.0
import torch

from models.subject_diffusion.fusion import ClsProjector, encoded, replaced
from tests.models.subject_diffusion.tiny import WIDTH, encoder_of, model_of, references_of

PROMPTS = (["a cat and a dog in the snow", "a mug"], [["cat", "dog"], ["mug"]])


def looked_up(model, ids):
    """Embeddings as they come to the first layer, with their positions."""
    caught = []
    layer = model.text_encoder.encoder.layers[0]
    handle = layer.register_forward_pre_hook(
        lambda _, args, kwargs: caught.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
    )
    model.text_encoder(ids)
    handle.remove()
    return caught[0]


@torch.no_grad()
def test_placeholders_are_replaced_and_nothing_else_and_positions_are_added_after():
    model = model_of()
    prompts, words = model.template.encode(*PROMPTS), torch.randn(2, 2, WIDTH)
    plain = looked_up(model, prompts.ids_BL)
    with replaced(model.text_encoder, words, prompts.place_BK, prompts.there_BK):
        fused = looked_up(model, prompts.ids_BL)
    places = prompts.ids_BL == model.template.placeholder_id
    assert places.sum() == 3
    assert torch.equal(fused[~places], plain[~places])
    embeddings = model.text_encoder.embeddings
    for row, subject in prompts.there_BK.nonzero().tolist():
        place = prompts.place_BK[row, subject]
        expected = words[row, subject] + embeddings.position_embedding.weight[place]
        assert torch.allclose(fused[row, place], expected, atol=1e-6)


@torch.no_grad()
def test_swapped_references_swap_what_is_put_in():
    model = model_of()
    prompts, words = model.template.encode(*PROMPTS), torch.randn(2, 2, WIDTH)
    with replaced(model.text_encoder, words, prompts.place_BK, prompts.there_BK):
        one = looked_up(model, prompts.ids_BL)
    with replaced(model.text_encoder, words.flip(1), prompts.place_BK, prompts.there_BK):
        other = looked_up(model, prompts.ids_BL)
    first, second = prompts.place_BK[0]
    positions = model.text_encoder.embeddings.position_embedding.weight
    assert torch.allclose(one[0, first] - positions[first], other[0, second] - positions[second], atol=1e-6)


@torch.no_grad()
def test_nothing_before_a_placeholder_knows_of_it():
    model = model_of()
    prompts = model.template.encode(*PROMPTS)
    first, second = (
        encoded(
            model.text_encoder, prompts.ids_BL, torch.randn(2, 2, WIDTH), prompts.place_BK, prompts.there_BK
        )
        for _ in range(2)
    )
    for row in range(2):
        place = prompts.place_BK[row, 0]
        assert torch.equal(first[row, :place], second[row, :place])
        assert not torch.allclose(first[row, place:], second[row, place:])


@torch.no_grad()
def test_the_encoder_is_left_as_it_was():
    model = model_of()
    prompts, empty = model.template.encode(*PROMPTS), model.template.encode([""], [[]])
    before = model.text_encoder(empty.ids_BL).last_hidden_state
    encoded(model.text_encoder, prompts.ids_BL, torch.randn(2, 2, WIDTH), prompts.place_BK, prompts.there_BK)
    assert torch.equal(model.text_encoder(empty.ids_BL).last_hidden_state, before)
    assert torch.equal(model.conditioner.null_states(), before)


def test_gradients_reach_projector_and_word_table():
    model = model_of()
    prompts, references = model.template.encode(*PROMPTS), references_of(model)
    words = model.projector(references.cls_BKE)
    states = encoded(model.text_encoder, prompts.ids_BL, words, prompts.place_BK, prompts.there_BK)
    states.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.projector.parameters())
    table = model.text_encoder.get_input_embeddings().weight.grad
    assert table[prompts.ids_BL[0, 1]].any()
    # What was replaced was not read.
    assert not table[model.template.placeholder_id].any()


def test_size_of_the_projector_at_full_size():
    assert sum(p.numel() for p in ClsProjector(1024, 1024).parameters()) == 2 * 1024 + 2 * (
        1024 * 1024 + 1024
    )


def test_what_the_subject_encoder_gives():
    encoder = encoder_of()
    images = torch.randn(2, 2, 3, 28, 28, requires_grad=True)
    cls, patches = encoder(images)
    assert cls.shape == (2, 2, encoder.image_width)
    assert patches.shape == (2, 2, encoder.patches, encoder.patch_width)
    assert not cls.requires_grad
    assert not patches.requires_grad
    states = encoder.tower.vision_model(images.flatten(0, 1), output_hidden_states=True).hidden_states[-1]
    assert torch.equal(patches.flatten(0, 1), states[:, 1:])
    assert not encoder.train().training
    assert not encoder.tower.training

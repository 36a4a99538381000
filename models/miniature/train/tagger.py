# SPDX-License-Identifier: Apache-2.0
"""The miniature spaCy pipeline: tags, parts of speech, parse and lemmas, learnt from a grammar.

It knows the sentences of the world and a few beyond; for real captions a real pipeline is needed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from models.miniature.train.grammar import random_sentence
from models.miniature.train.scenes import TRAIN_SEED, VALIDATION_SEED

SENTENCES, STEPS, BATCH = 4_000, 600, 48
_TOK2VEC = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "pretrained_vectors": None,
    "width": 48,
    "depth": 2,
    "embed_size": 600,
    "window_size": 1,
    "maxout_pieces": 3,
    "subword_features": True,
}
_LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 48, "upstream": "tok2vec"}


def example_docs(nlp: Language, seed: int, count: int) -> Iterator[Doc]:
    """Sentences of the grammar as annotated docs."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        words, heads = random_sentence(rng).flat()
        if rng.random() < 0.2:
            words[0] = replace(words[0], text=words[0].text.capitalize())
        yield Doc(
            nlp.vocab,
            words=[word.text for word in words],
            spaces=[after.text != "," for after in words[1:]] + [False],
            tags=[word.tag for word in words],
            pos=[word.pos for word in words],
            lemmas=[word.lemma for word in words],
            heads=heads,
            deps=[word.dep for word in words],
        )


def train_tagger(run: Path, log: Callable[[str], None] = print) -> Path:
    """Train for about a minute and save the pipeline in `run/export`."""
    spacy.util.fix_random_seed(0)  # pyright: ignore[reportPrivateImportUsage]
    nlp = _build()
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in example_docs(nlp, TRAIN_SEED, SENTENCES)]
    optimiser = nlp.initialize(lambda: examples)
    rng = np.random.default_rng(0)
    for step in range(STEPS):
        batch = [examples[row] for row in rng.integers(0, len(examples), BATCH)]
        losses = nlp.update(batch, sgd=optimiser, drop=0.1)
        if step % 100 == 0:
            log(f"step {step} " + " ".join(f"{name} {value:.1f}" for name, value in losses.items()))
    run.mkdir(parents=True, exist_ok=True)
    nlp.to_disk(run / "export")
    held_out = list(example_docs(nlp, VALIDATION_SEED, 500))
    log(" ".join(f"{name} {value:.3f}" for name, value in scores(nlp, held_out).items()))
    return run / "export"


def scores(nlp: Language, docs: Iterable[Doc]) -> dict[str, float]:
    """Accuracy of tags, parts of speech, lemmas and labelled attachments."""
    result = nlp.evaluate([Example(nlp.make_doc(doc.text), doc) for doc in docs])
    return {
        name: float(result[name] or 0) for name in ("tag_acc", "pos_acc", "lemma_acc", "dep_uas", "dep_las")
    }


def _build() -> Language:
    nlp = spacy.blank("en")
    nlp.meta["name"] = "subjectforge_miniature"
    nlp.add_pipe("tok2vec", config={"model": _TOK2VEC})
    for name in ("tagger", "morphologizer"):
        nlp.add_pipe(name, config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": _LISTENER}})
    parser = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "parser",
        "extra_state_tokens": False,
        "hidden_width": 48,
        "maxout_pieces": 2,
        "use_upper": True,
        "tok2vec": _LISTENER,
    }
    nlp.add_pipe("parser", config={"model": parser})
    lemmas = {"@architectures": "spacy.Tagger.v2", "tok2vec": _LISTENER}
    nlp.add_pipe("trainable_lemmatizer", name="lemmatizer", config={"model": lemmas, "min_tree_freq": 1})
    return nlp

# SPDX-License-Identifier: Apache-2.0
"""Random sentences with their parse: the world's captions, and simple ones in other words.

Labels are those of spaCy's English models, so that `Doc.noun_chunks` works on what is learnt.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from models.miniature.world.vocabulary import BACKGROUNDS, COLOURS, NOUNS

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Word:
    """A token: surface form, fine tag, part of speech, lemma, relation to its head."""

    text: str
    tag: str
    pos: str
    lemma: str
    dep: str = "ROOT"


@dataclass(slots=True)
class Tree:
    """A head word and its dependants, which stand before (`left`) or after it (`right`)."""

    word: Word
    left: list["Tree"] = field(default_factory=list)
    right: list["Tree"] = field(default_factory=list)

    def flat(self) -> tuple[list[Word], list[int]]:
        """The words in order and, for each, the place of its head (its own if it is the root)."""
        words, heads = self._flat(offset=0)
        return words, [place if head < 0 else head for place, head in enumerate(heads)]

    def _flat(self, offset: int) -> tuple[list[Word], list[int]]:
        words: list[Word] = []
        heads: list[int] = []
        roots: list[int] = []
        own = -1
        for branch in [*self.left, None, *self.right]:
            if branch is None:
                own = offset + len(words)
                words.append(self.word)
                heads.append(-1)
                continue
            start = offset + len(words)
            branch_words, branch_heads = branch._flat(start)
            roots.append(start + branch_heads.index(-1))
            words += branch_words
            heads += branch_heads
        for root in roots:
            heads[root - offset] = own
        return words, heads


_OTHER_NOUNS = (
    "man", "woman", "child", "horse", "table", "chair", "bike", "train", "knife", "bench", "ball", "hat",
    "lamp", "bottle", "bag", "book", "cup", "girl", "boy", "plate", "phone", "bus", "bear", "sheep", "clock",
)  # fmt: skip
_PLACES = ("park", "room", "field", "beach", "road", "garden", "forest", "yard", "river", "hill")
_ADJECTIVES = ("small", "big", "old", "young", "wooden", "striped", "spotted", "black", "brown", "bright")
_VERBS = {"holding": "hold", "riding": "ride", "watching": "watch", "carrying": "carry", "eating": "eat"}
_PREPOSITIONS = ("in", "on", "at", "near", "behind", "under", "with", "beside")
_PLURALS = {"bench": "benches", "bus": "buses", "man": "men", "woman": "women", "child": "children",
            "knife": "knives", "sheep": "sheep", "fish": "fish"}  # fmt: skip


def random_sentence(rng: Rng) -> Tree:
    """Half of the time a caption of the world, otherwise a sentence in other words."""
    if rng.random() < 0.5:
        return _caption(rng)
    kinds = (_with_verb, _there_is, _copula, _plain)
    return kinds[rng.integers(len(kinds))](rng)


def _pick(rng: Rng, options: tuple[str, ...]) -> str:
    return options[rng.integers(len(options))]


def _noun_phrase(rng: Rng, nouns: tuple[str, ...], dep: str, colour: float = 0.4) -> Tree:
    """Article or number, adjectives, noun."""
    noun, left, plural = _pick(rng, nouns), [], False
    if rng.random() < 0.12 and colour < 1:
        number = _pick(rng, ("two", "three", "four"))
        left, plural = [Tree(Word(number, "CD", "NUM", number, "nummod"))], True
    if rng.random() < 0.3 and colour < 1:
        left.append(_adjective(_pick(rng, _ADJECTIVES)))
    if rng.random() < colour:
        left.append(_adjective(_pick(rng, tuple(COLOURS))))
    if not plural:
        following = (left[0].word.text if left else noun)[0]
        article = "the" if rng.random() < 0.2 and colour < 1 else "an" if following in "aeiou" else "a"
        left.insert(0, Tree(Word(article, "DT", "DET", "the" if article == "the" else "a", "det")))
    surface = _PLURALS.get(noun, noun + "s") if plural else noun
    return Tree(Word(surface, "NNS" if plural else "NN", "NOUN", noun, dep), left)


def _adjective(text: str) -> Tree:
    return Tree(Word(text, "JJ", "ADJ", text, "amod"))


def _place(preposition: str, noun: str, article: bool = True) -> Tree:
    det = [Tree(Word("the", "DT", "DET", "the", "det"))] if article else []
    place = Tree(Word(noun, "NN", "NOUN", noun, "pobj"), det)
    return Tree(Word(preposition, "IN", "ADP", preposition, "prep"), right=[place])


def _listed(phrases: list[Tree]) -> Tree:
    """`A, B and C`: each further phrase is a conjunct of the one before it."""
    for place in range(len(phrases) - 2, -1, -1):
        last = place == len(phrases) - 2
        link = Word("and", "CC", "CCONJ", "and", "cc") if last else Word(",", ",", "PUNCT", ",", "punct")
        following = phrases[place + 1]
        following.word = replace(following.word, dep="conj")
        phrases[place].right += [Tree(link), following]
    return phrases[0]


def _caption(rng: Rng) -> Tree:
    names = tuple(rng.choice(NOUNS, size=rng.integers(1, 4), replace=False).tolist())
    coloured = 1.0 if rng.random() < 0.8 else 0.3
    root = _listed([_noun_phrase(rng, (name,), "ROOT", coloured) for name in names])
    preposition, *rest = BACKGROUNDS[_pick(rng, tuple(BACKGROUNDS))].split()
    root.right.append(_place(preposition, rest[-1], article=len(rest) > 1))
    return root


def _plain(rng: Rng) -> Tree:
    root = _listed([_noun_phrase(rng, _OTHER_NOUNS + NOUNS, "ROOT") for _ in range(rng.integers(1, 4))])
    if rng.random() < 0.6:
        root.right.append(_place(_pick(rng, _PREPOSITIONS), _pick(rng, _PLACES)))
    return root


def _with_verb(rng: Rng) -> Tree:
    root = _noun_phrase(rng, _OTHER_NOUNS + NOUNS, "ROOT")
    verb = _pick(rng, tuple(_VERBS))
    action = Tree(Word(verb, "VBG", "VERB", _VERBS[verb], "acl"))
    action.right.append(_noun_phrase(rng, _OTHER_NOUNS + NOUNS, "dobj"))
    if rng.random() < 0.5:
        action.right.append(_place(_pick(rng, _PREPOSITIONS), _pick(rng, _PLACES)))
    root.right.append(action)
    return root


def _there_is(rng: Rng) -> Tree:
    phrase = _noun_phrase(rng, _OTHER_NOUNS + NOUNS, "attr")
    plural = phrase.word.tag == "NNS"
    verb = Word("are" if plural else "is", "VBP" if plural else "VBZ", "VERB", "be", "ROOT")
    there = Tree(Word("there", "EX", "PRON", "there", "expl"))
    return Tree(verb, [there], [phrase, _place(_pick(rng, _PREPOSITIONS), _pick(rng, _PLACES))])


def _copula(rng: Rng) -> Tree:
    subject = _noun_phrase(rng, _OTHER_NOUNS + NOUNS, "nsubj")
    plural = subject.word.tag == "NNS"
    verb = Word("are" if plural else "is", "VBP" if plural else "VBZ", "AUX", "be", "ROOT")
    if rng.random() < 0.5:
        quality = _pick(rng, tuple(COLOURS) + _ADJECTIVES)
        return Tree(verb, [subject], [Tree(Word(quality, "JJ", "ADJ", quality, "acomp"))])
    return Tree(verb, [subject], [_place(_pick(rng, _PREPOSITIONS), _pick(rng, _PLACES))])

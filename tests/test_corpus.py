"""How well the rules tell readers from machines, on requests whose makers are known; docs/classes.md says the same."""

import re
from collections.abc import Callable

import pytest

from redirector.behaviour import BEHAVIOUR_RULES
from redirector.classify import REQUEST_RULES
from redirector.clicks import CERTAIN, ClickClass
from tests.corpus import TABLES, judgements, score_table, scores, sequences
from tests.test_documents import document

LEAST_PRECISION = 0.99
LEAST_RECALL_OF_PEOPLE = 0.95


def test_the_corpus_is_large_enough() -> None:
    """Sixty sequences and two hundred requests or more, half of them people's; each sequence says where it is from."""
    made_by_people = [each for each in judgements() if each.made_by is ClickClass.HUMAN]

    assert len(sequences()) >= 60
    assert len(judgements()) >= 200
    assert 2 * len(made_by_people) >= len(judgements())
    assert all(sequence["source"].startswith("https://") for _, sequence in sequences())
    assert len({sequence["name"] for _, sequence in sequences()}) == len(sequences())


def test_nobody_is_labelled_a_suspect() -> None:
    """A label says who made a request; a suspicion is what the rules have."""
    assert {each.made_by for each in judgements()} == set(ClickClass) - {ClickClass.SUSPECT}


@pytest.mark.parametrize("class_", sorted(CERTAIN))
def test_what_is_certain_is_right(class_: ClickClass) -> None:
    """Of what is called certain, 99% or more is; and no reader is called so."""
    wrong = [each for each in judgements() if each.judged is class_ and each.made_by is not class_]

    assert scores()[class_].precision >= LEAST_PRECISION, wrong
    assert not [each for each in wrong if each.made_by is ClickClass.HUMAN]


def test_people_are_recalled(record_property: Callable[[str, object], None]) -> None:
    """Of what people did, 95% or more is called human; the whole table is printed."""
    record_property("told", f"Who clicked, of {len(judgements())} labelled requests:\n{score_table()}")

    assert scores()[ClickClass.HUMAN].recall >= LEAST_RECALL_OF_PEOPLE


def test_every_rule_has_its_request() -> None:
    """No rule stands there that the corpus does not try."""
    assert {each.rule for each in judgements()} == {rule.name for rule in (*REQUEST_RULES, *BEHAVIOUR_RULES)}


@pytest.mark.parametrize("name", TABLES)
def test_the_document_has_the_figures_that_are_reached(name: str) -> None:
    """`python -m tests.corpus` prints the tables as they are now; docs/classes.md has the same."""
    (written,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", document("classes"), re.DOTALL)

    assert written == TABLES[name]()

"""Classes of agents."""

from __future__ import annotations

import pytest

from ohmesh.errors import InvalidArgument
from ohmesh.model.agent_class import STANDARD_CLASSES, AgentClass, AgentClasses


def test_the_standard_classes_make_a_full_fleet() -> None:
    assert sum(one.share for one in STANDARD_CLASSES) == 30_000
    assert [one.base_ms for one in STANDARD_CLASSES] == [10, 50, 200, 100, 150, 60_000]


def test_a_class_has_a_code() -> None:
    classes = AgentClasses((*STANDARD_CLASSES, AgentClass("satellite", "satellite", 700.0, 0)))
    assert classes.all[classes.code("satellite")].base_ms == 700.0
    with pytest.raises(InvalidArgument, match="One of A, B, C, D, E, F, satellite"):
        classes.code("Z")


@pytest.mark.parametrize(
    "classes",
    [
        (),
        (AgentClass("A", "", 1.0, 0),) * 2,
        (AgentClass("A", "", 0.0, 0),),
        (AgentClass("A", "", float("nan"), 0),),
    ],
)
def test_classes_that_make_no_sense_are_refused(classes: tuple[AgentClass, ...]) -> None:
    with pytest.raises(InvalidArgument):
        AgentClasses(classes)

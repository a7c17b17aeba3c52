"""Every experiment says what it measures, and the documents say of nothing else that it is measured."""

import pytest

from bench.papers.columns import SHARE, Drawing, curve, histogram, matrix
from bench.papers.registry import EXPERIMENTS
from bench.papers.store import code
from bench.tables.documents import DOCUMENTS, PUBLISHED
from plaintext_models.data import datasets


def test_every_published_result_has_an_experiment():
    assert set(EXPERIMENTS) == set(PUBLISHED)
    assert {identifier[0] for identifier in PUBLISHED} == set(DOCUMENTS)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("identifier", EXPERIMENTS)
def test_experiments_are_whole(identifier, quick):
    experiment = EXPERIMENTS[identifier]
    settings = experiment.settings(quick)
    names = [setting.name for setting in settings]
    columns = [column.name for column in experiment.columns]
    assert len(set(names)) == len(names)
    assert len(set(columns)) == len(columns)
    for column in experiment.columns:
        assert column.drawing is None or column.drawing.form == "matrix" or column.x is not None
        assert column.drawing is None or column.unit != SHARE or "%" not in column.drawing.y  # which is added
    for order in experiment.orders:
        assert {order.higher, order.lower} <= set(names)
        assert {order.column, order.lower_column or order.column} <= set(columns)
    for setting in settings:
        assert set(setting.published) <= set(columns)
        assert setting.subject.dataset in datasets.names()
        assert code(type(setting.subject))
    assert bool(settings) == (PUBLISHED[identifier].quick or not quick)


@pytest.mark.parametrize("identifier", EXPERIMENTS)
def test_no_more_images_are_attacked_than_there_are(identifier):
    experiment = EXPERIMENTS[identifier]
    for quick, scale in ((True, experiment.quick), (False, experiment.full)):
        for name in {setting.subject.dataset for setting in experiment.settings(quick)}:
            tests = {"mnist": 10_000, "cifar10": 10_000}.get(name) or len(datasets.load(name).test_images)
            assert scale.images <= tests


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("identifier", EXPERIMENTS)
def test_orders_agree_with_what_is_printed(identifier, quick):
    experiment = EXPERIMENTS[identifier]
    published = {setting.name: setting.published for setting in experiment.settings(quick)}
    for order in experiment.orders:
        higher = published[order.higher].get(order.column)
        lower = published[order.lower].get(order.lower_column or order.column)
        assert higher is None or lower is None or higher.value > lower.value


def test_columns_of_pictures_have_names_of_their_own():
    drawing = Drawing("accuracy", "curve", "radius")
    some = (
        *curve(drawing, "FGSM", (0.1, 0.25)),
        *histogram(Drawing("sure", "histogram"), "clean", (0, 0.5)),
        *matrix(Drawing("transfer", "matrix"), ("from CNN",)),
    )
    assert [column.name for column in some] == ["FGSM 0.1", "FGSM 0.25", "clean from 0", "clean from 0.5", "from CNN"]
    assert [column.x for column in some] == [0.1, 0.25, 0, 0.5, None]

import pytest

from carelane.models.schemas import classic_models
from tests.models.reference import FOLDER, file_of, index, page, shapes


@pytest.mark.parametrize("model", classic_models())
def test_the_reference_page_of_a_model_is_up_to_date(model):
    assert page(model) == (FOLDER / file_of(model)).read_text(), "run python -m tests.models.reference"


def test_the_list_of_models_is_up_to_date():
    assert shapes() == (FOLDER / "shapes.md").read_text()
    assert index() == (FOLDER / "README.md").read_text()

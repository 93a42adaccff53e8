from __future__ import annotations

from pathlib import Path

import pytest

from parfocal.models import CATALOG, ModelRow, reference
from tests.fabricate.models import TINY_CARD, write_tiny_model

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "models.md"


def test_every_value_of_a_card_is_on_its_page():
    card = TINY_CARD.model_copy(
        update={
            "sha256": "feed" * 16,
            "recipe": {"steps": 1234, "objects": ["beads", "nuclei"], "peak_rate": 0.002},
            "coverage": {"all": 0.91, "beads": 0.8125, "dim_beads": 0.77},
            "metrics": {
                "answered_all": 0.95,
                "answered_beads": 0.625,
                "answered_dim_beads": 0.45,
                "wrong_signs_all": 0.015,
                "fields": 321.0,
            },
        }
    )
    page = card.to_markdown()
    for said in (
        "tiny",
        "# ",
        "none: the weights are random",
        "Knows nothing.",
        "feed" * 16,
        "1234",
    ):
        assert said in page
    assert "- objects: beads, nuclei" in page
    assert "|  | answered | wrong signs | coverage |" in page
    assert "| all | 0.95 | 0.015 | 0.91 |" in page
    assert "| beads | 0.625 | - | 0.8125 |" in page
    assert "| dim_beads | 0.45 | - | 0.77 |" in page
    assert "- fields: 321" in page
    assert "## Validation" in page  # bioimage.io looks for it
    assert page.endswith("\n")


def test_a_card_without_figures_says_so():
    page = TINY_CARD.model_copy(update={"metrics": {}, "coverage": {}, "limits": ()}).to_markdown()
    assert "Nothing was measured." in page
    assert "None are stated." in page


def test_text_of_a_card_breaks_no_table_and_no_line():
    card = TINY_CARD.model_copy(update={"data": "one\ntwo", "coverage": {"a|b": 0.5}})
    page = card.to_markdown()
    assert "one two" in page
    assert "| a\\|b |" in page


def test_the_page_of_models_is_made_from_the_cards_that_ship():
    assert PAGE.read_text(encoding="utf-8") == reference.models_page(), (
        "write it anew: python -m parfocal.models.reference > docs/reference/models.md"
    )


def test_a_model_that_ships_has_a_row_and_its_card_on_the_page(tmp_path):
    folder = write_tiny_model(tmp_path / "tiny")
    page = reference.models_page([ModelRow("tiny", "predict", "a trial", folder)])
    assert "| tiny | predict | a trial | 0.0 | 50 % |" in page
    assert "\n## tiny\n" in page
    assert "\n### Limits\n" in page
    assert "No network ships" not in page


@pytest.mark.parametrize(
    ("coverage", "text"),
    [({}, "-"), ({"a": 0.9}, "90 %"), ({"a": 0.884, "b": 0.95}, "88 to 95 %")],
)
def test_coverage_is_told_as_a_range(coverage, text):
    assert reference.coverage_range(TINY_CARD.model_copy(update={"coverage": coverage})) == text


def test_models_that_ship_have_a_verb_and_a_summary():
    assert all(row.verb and row.summary for row in CATALOG)

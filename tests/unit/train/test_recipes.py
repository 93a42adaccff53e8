from __future__ import annotations

import subprocess
import sys

import pytest

from parfocal.core.errors import InputError, UnknownNameError
from parfocal.train.recipes import RECIPES, find_recipe, load_address, settle


@pytest.mark.parametrize("row", RECIPES, ids=lambda row: row.name)
def test_every_row_leads_to_settings_and_a_maker(row):
    settings = settle(row, {})
    assert settings.name == (row.model or row.name)
    assert settings == load_address(row.settings)()
    assert settle(row, {}, is_quick=True).name == f"{row.model or row.name}-quick"
    assert callable(load_address(row.maker))


def test_the_table_imports_no_torch():
    probe = "import sys, parfocal.train.recipes; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_what_is_no_setting_is_refused_with_those_there_are():
    row = find_recipe("pair-fluorescence")
    with pytest.raises(InputError, match=r"no setting 'stepz'; choose one of: batch, bins"):
        settle(row, {"stepz": 3})
    with pytest.raises(InputError, match=r"cannot be trained so: batch"):
        settle(row, {"batch": 1})
    with pytest.raises(UnknownNameError, match="pair-fluorescence"):
        find_recipe("psychic")

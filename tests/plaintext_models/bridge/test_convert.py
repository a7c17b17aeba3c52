"""What torch has made finds its converter by the package's entry points."""

import torch
from torch import nn

from intnn.convert.model import graph_of
from plaintext_models.bridge.from_torch import convert, from_torch


def test_modules_programs_and_files_are_converted(tmp_path):
    module, x = nn.Sequential(nn.Linear(3, 2), nn.Tanh()), torch.rand(2, 3)
    program = torch.export.export(module, (x,))
    torch.export.save(program, tmp_path / "m.pt2")
    expected = from_torch(module, x).fingerprint
    models = (module, program, tmp_path / "m.pt2", str(tmp_path / "m.pt2"))
    assert {convert(model, x).fingerprint for model in models} == {expected}
    assert graph_of(from_torch(module, x)).fingerprint == expected

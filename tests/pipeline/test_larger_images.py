"""Networks whose images become larger again, from torch's own export to ciphertexts."""

import io
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import he
from intnn import QuantConfig
from intnn.approximation.approximate import approximate
from intnn.convert.from_onnx import from_onnx
from intnn.quantisation.squares import integer_squares
from intnn.quantisation.tables import integer_tables
from plaintext_models.bridge.from_torch import from_torch

DECODERS = {
    "transposed convolution": lambda: nn.ConvTranspose2d(2, 2, 3, 2, 1, 1),
    "nearest": lambda: nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(2, 2, 3, padding=1)),
    "bilinear": lambda: nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(2, 2, 1)),
}


@pytest.fixture(scope="module", params=DECODERS)
def autoencoder(request):
    """A small autoencoder of images of 4 x 4, and images."""
    torch.manual_seed(0)
    decoder = DECODERS[request.param]()
    module = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.ReLU(), decoder, nn.ReLU(), nn.Conv2d(2, 1, 3, padding=1))
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.bias.data += 0.3  # so that its units are not dead from the start
    x = torch.rand(200, 1, 4, 4)
    optimiser = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(100):
        optimiser.zero_grad()
        (module(x) - x).square().mean().backward()
        optimiser.step()
    return module.eval(), x.double().numpy()


@pytest.fixture(scope="module")
def graph(autoencoder, tmp_path_factory):
    module, x = autoencoder
    path, encoded = tmp_path_factory.mktemp("exported") / "autoencoder.onnx", io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # that this exporter is deprecated
        torch.onnx.export(module, (torch.from_numpy(x[:1]).float(),), encoded, dynamo=False)
    path.write_bytes(encoded.getvalue())
    return from_onnx(path)


def test_the_file_and_the_module_are_one_graph(autoencoder, graph):
    module, x = autoencoder
    with torch.no_grad():
        expected = module(torch.from_numpy(x).float()).numpy()
    assert graph.output_shape == (1, 4, 4)
    np.testing.assert_allclose(graph.forward(x), expected, atol=1e-5)  # float32 through a few layers
    np.testing.assert_allclose(from_torch(module, x[:1]).forward(x), expected, atol=1e-5)


def test_ciphertexts_give_what_the_integers_give(autoencoder, graph):
    _, x = autoencoder
    small = QuantConfig(input_bits=2, weight_bits=4, activation_bits=3, table_points=31)
    squares = integer_squares(approximate(graph, x, degree=2), x, 2, 4, graph)
    networks = [(squares, he.compile_residues)]
    if graph.is_chain:  # linear resizing adds the border to an image
        networks.append((integer_tables(graph, x, small), he.compile_exact))
    for network, compiled in networks:
        circuit, integers = compiled(network, security="insecure"), network.quantise_input(x[:3])
        assert (he.run_encrypted(circuit, integers) == network.logits(integers)).all()


def test_ciphertexts_of_floats_stay_within_their_bound(autoencoder, graph):
    _, x = autoencoder
    polynomials = approximate(graph, x, degree=2)
    circuit = he.compile_approximate(polynomials, x, ranges="calibrated", security="insecure")
    found = he.run_encrypted(circuit, x[:3])
    assert np.abs(found - polynomials.logits(x[:3])).max() <= 0.2  # the bound, where none is asked for

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.circuit.packing import InputLayout, OutputLayout, Packing, PackingError


@st.composite
def packings(draw):
    row_length = 1 << draw(st.integers(2, 6))
    rows = draw(st.integers(1, 2))
    lanes = 1 << draw(st.integers(0, row_length.bit_length() - 1))
    return Packing(rows, row_length, lanes, split_rows=rows == 2 and draw(st.booleans()))


@st.composite
def input_layouts(draw):
    packing, features = draw(packings()), draw(st.integers(1, 9))
    width = 1 << draw(st.integers(0, packing.copies(1).bit_length() - 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return InputLayout.of(packing, features, rng.integers(-1, features, (width, draw(st.integers(1, 20)))))


@given(input_layouts(), st.data())
def test_every_tap_lies_in_its_units_slot(layout, data):
    """Tap k is in copy k of the ciphertexts' copies, counted row by row where the rows are not split."""
    packing, width = layout.packing, layout.width
    images = np.random.default_rng(0).integers(1, 1000, (data.draw(st.integers(1, packing.images)), layout.features))
    slots = packing.view(layout.pack(images), width)
    assert slots.shape == (layout.ciphertexts, packing.rows, packing.copies(width), width, packing.lanes)
    for (ciphertext, row, copy, unit, lane), value in np.ndenumerate(slots):
        image = (lane + (row * packing.lanes if packing.split_rows else 0)) % len(images)  # lanes without one repeat it
        place = copy if packing.split_rows else row * packing.copies(width) + copy
        tap = ciphertext * layout.taps_per_ciphertext + place
        absent = tap >= layout.gather.shape[1] or layout.gather[unit, tap] < 0
        assert value == (0 if absent else images[image, layout.gather[unit, tap]])


@st.composite
def output_layouts(draw):
    packing = draw(packings())
    width = 1 << draw(st.integers(0, packing.copies(1).bit_length() - 1))
    return OutputLayout(packing, width, draw(st.integers(1, width)))


def packed(layout, logits):
    """Logits [packing.images, width] in slots, as an evaluation leaves them: the same in every copy."""
    packing = layout.packing
    by_row = logits.reshape(-1, packing.lanes, layout.width)
    rows = [
        np.tile(by_row[row % len(by_row)].T.reshape(-1), packing.copies(layout.width)) for row in range(packing.rows)
    ]
    return np.concatenate(rows)


@given(output_layouts(), st.data())
def test_unpacking_inverts_packing(layout, data):
    logits = np.random.default_rng(1).integers(-99, 99, (layout.packing.images, layout.width))
    images = data.draw(st.integers(1, layout.packing.images))
    unpacked = layout.unpack(packed(layout, logits)[None], images)
    assert unpacked.tolist() == logits[:images, : layout.outputs].tolist()


@given(output_layouts(), st.data())
def test_one_slot_that_disagrees_is_found(layout, data):
    logits = np.random.default_rng(1).normal(size=(layout.packing.images, layout.width))
    slots, tolerance = packed(layout, logits), 1e-3
    copies = layout.packing.slots // (layout.packing.images * layout.width)
    slot = data.draw(st.integers(0, layout.packing.slots - 1))
    for wrong in (slots[slot] + 2 * tolerance, np.nan, np.inf, -np.inf):
        damaged = slots.copy()
        damaged[slot] = wrong
        if copies > 1 or not np.isfinite(wrong):
            with pytest.raises(PackingError, match="copies of the decrypted logits disagree"):
                layout.unpack(damaged[None], 1, tolerance)
    slots[slot] += 0.5 * tolerance
    assert layout.unpack(slots[None], 1, tolerance).shape == (1, layout.outputs)


@given(packings(), st.data())
def test_spread_repeats_a_vector_for_every_copy_and_lane(packing, data):
    width = 1 << data.draw(st.integers(0, packing.copies(1).bit_length() - 1))
    vector = np.arange(width)
    view = packing.view(packing.spread(vector), width)
    assert (view == vector[:, None]).all()


@pytest.mark.parametrize("lanes", [0, -1, 3, 16])
def test_lanes_must_be_a_power_of_two_within_the_row(lanes):
    with pytest.raises(ValueError, match=f"`lanes` must be a power of two from 1 to 8, got {lanes}"):
        Packing(1, 8, lanes)


@pytest.mark.parametrize("gather", [[[0, 4]], [[-2]], [0, 1]])
def test_a_gather_outside_the_image_is_refused(gather):
    with pytest.raises(ValueError, match=r"`gather` must be integers \[width, taps\] with indices from -1 to 3"):
        InputLayout.of(Packing(1, 8), 4, np.array(gather))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ((2, 6, 1), "`row_length` must be a power of two, got 6"),
        ((2, 0, 1), "`row_length` must be a power of two, got 0"),
        ((2, 8, 3), "`lanes` must be a power of two from 1 to 8, got 3"),
        ((2, 8, 16), "`lanes` must be a power of two from 1 to 8, got 16"),
        ((3, 8, 1), "`rows` must be 1 or 2, and 2 to be split, got 3"),
        ((1, 8, 1, True), "`rows` must be 1 or 2, and 2 to be split, got 1, True"),
        ((2, 8, 4, False, 3), "`guards` must be from 0 to half of 4 lanes, got 3"),
        ((2, 8, 4, False, -1), "`guards` must be from 0 to half of 4 lanes, got -1"),
        ((2.0, 8, 1), "a packing must have integers and one boolean"),
        ((2, True, 1), "a packing must have integers and one boolean"),
        ((2, 8, 1, 0), "a packing must have integers and one boolean"),
    ],
)
def test_packings_that_are_none_are_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        Packing(*fields)

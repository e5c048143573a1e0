"""Signs of served models: colours that everybody can tell apart, and that stay."""

from __future__ import annotations

import itertools

import numpy as np

from otel_llm_routing.analyze.report.palette import COLOURS, SHAPES, signs

LIGHT, DARK = "#ffffff", "#0d1117"
SIMULATED = {
    "all colours": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB."""
TO_LMS = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip
NAMES = [f"model-{number}" for number in range(40)]


def linear(colour):
    rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    light, dark = sorted((float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def oklab(rgb):
    return np.cbrt(np.clip(rgb, 0, 1) @ TO_LMS.T) @ TO_LAB.T


def test_every_colour_stands_out_from_the_page_in_light_and_in_dark():
    assert min(contrast(colour, page) for colour in COLOURS for page in (LIGHT, DARK)) >= 3


def test_any_two_colours_differ_for_colour_blind_eyes():
    for name, matrix in SIMULATED.items():
        seen = [oklab(np.array(matrix) @ linear(colour)) for colour in COLOURS]
        nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))
        assert nearest > 0.05, name


def test_colour_is_never_the_only_difference():
    found = signs(NAMES)
    assert len({sign.letter for sign in found.values()}) == len(NAMES)
    assert len(set(SHAPES)) == len(COLOURS)


def test_up_to_eight_models_have_colours_of_their_own():
    for size in range(1, len(COLOURS) + 1):
        found = signs(NAMES[:size])
        assert len({sign.colour for sign in found.values()}) == size


def test_the_order_of_names_does_not_matter():
    assert signs(NAMES[::-1]) == signs(NAMES)


def test_a_new_model_never_takes_the_sign_of_one_of_the_reference():
    reference = NAMES[:4]
    before = signs(reference, reference)
    for new in NAMES[4:]:
        after = signs([*reference, new, "a"], reference)
        assert {name: after[name] for name in reference} == before

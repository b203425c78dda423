"""The table of a signal's shape: interpolation, files, PDFs, and fits to simulated samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import zfit
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator
from scipy.stats import norm

from zfit_dark.errors import InputError
from zfit_dark.newton import FloatArray
from zfit_dark.pdf import CrystalBall, DoubleCB
from zfit_dark.signal_shape import SignalShape

MASSES = np.array([0.2, 0.5, 1.1, 2.0, 4.5])
TABLE = {
    "sigma": np.array([0.008, 0.009, 0.012, 0.011, 0.018]),
    "shift": np.array([0.001, -0.002, 0.0, 0.003, 0.002]),
    "alphal": np.array([1.1, 1.2, 1.0, 1.4, 1.3]),
    "nl": np.array([3.0, 4.0, 2.5, 6.0, 5.0]),
    "alphar": np.array([1.6, 1.7, 1.9, 1.8, 1.5]),
    "nr": np.array([8.0, 5.0, 9.0, 7.0, 4.0]),
}
COLUMNS = {
    "gauss": ["sigma"],
    "shifted": ["sigma", "shift"],
    "crystal ball": ["sigma", "shift", "alpha", "n"],
    "double": ["sigma", "alphal", "nl", "alphar", "nr"],
    "double shifted": ["sigma", "shift", "alphal", "nl", "alphar", "nr"],
}
SINGLE = {"alpha": -TABLE["alphal"], "n": TABLE["nl"]}


def shape_of(kind: str) -> SignalShape:
    table = {name: (TABLE | SINGLE)[name] for name in COLUMNS[kind]}
    return SignalShape(MASSES, table, source="a test", status="assumed")


DOUBLE = shape_of("double shifted")


def minimal(**columns: Any) -> SignalShape:
    columns = {"sigma": [0.01, 0.02]} | columns
    return SignalShape(
        np.array([0.5, 1.0]),
        {name: np.asarray(values) for name, values in columns.items() if values is not None},
        source="a test",
        status="read",
    )


# ------------------------------------------------------------------ interpolation

inside = st.floats(MASSES[0], MASSES[-1])


@pytest.fixture(scope="module")
def graph() -> Any:
    """All columns at a mass, as the graph of a fit evaluates them."""

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def columns(mass: Any) -> Any:
        return tf.stack([DOUBLE._graph(name, mass) for name in TABLE])

    return columns.get_concrete_function(tf.TensorSpec((), tf.float64))


def in_graph(graph: Any, mass: float) -> FloatArray:
    return np.asarray(graph(tf.constant(mass, tf.float64)))


@given(mass=inside)
def test_graph_and_numbers_are_scipys_interpolation(graph: Any, mass: float) -> None:
    expected = np.array([PchipInterpolator(MASSES, values)(mass) for values in TABLE.values()])
    np.testing.assert_allclose(in_graph(graph, mass), expected, rtol=1e-13, atol=1e-16)
    parameters = DOUBLE.parameters(mass)
    np.testing.assert_array_equal([parameters[name] for name in TABLE], expected)
    assert DOUBLE.sigma(mass) == parameters["sigma"]


@pytest.mark.parametrize("mass", MASSES)
def test_the_table_itself_comes_back(graph: Any, mass: float) -> None:
    values = [column[mass == MASSES][0] for column in TABLE.values()]
    np.testing.assert_allclose(in_graph(graph, mass), values, rtol=1e-13, atol=1e-18)


@pytest.mark.parametrize("mass", [0.0, 0.2 - 1e-9, 4.5 + 1e-9, 1e3, -1.0, np.nan])
def test_outside_the_table_nothing_is_said(graph: Any, mass: float) -> None:
    assert np.isnan(in_graph(graph, mass)).all()
    for call in (DOUBLE.sigma, DOUBLE.parameters):
        with pytest.raises(InputError, match=r"outside the signal shape's table, 0.2 to 4.5 GeV"):
            call(mass)


def test_gradient_along_the_mass_is_that_of_scipy() -> None:
    at = tf.constant(1.37, tf.float64)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def slope() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(at)
            value = DOUBLE._graph("sigma", at)
        return tape.gradient(value, at)

    expected = PchipInterpolator(MASSES, TABLE["sigma"]).derivative()(1.37)
    assert float(slope()) == pytest.approx(float(expected), rel=1e-12)


@given(mass=inside)
def test_interpolation_does_not_overshoot(mass: float) -> None:
    above = np.searchsorted(MASSES, mass, side="right").clip(1, len(MASSES) - 1)
    for name, values in TABLE.items():
        low, high = sorted(values[above - 1 : above + 1])
        assert low - 1e-15 <= DOUBLE.parameters(mass)[name] <= high + 1e-15


def test_sigma_of_many_masses_has_their_shape() -> None:
    masses = np.array([[0.3, 0.4], [1.0, 2.0]])
    np.testing.assert_array_equal(
        DOUBLE.sigma(masses), [[DOUBLE.sigma(m) for m in row] for row in masses]
    )
    assert isinstance(DOUBLE.sigma(0.3), float)
    with pytest.raises(InputError, match=r"mass 9 GeV is outside"):
        DOUBLE.sigma(np.array([0.3, 9.0]))


def test_no_shift_is_a_shift_of_zero() -> None:
    assert shape_of("gauss").parameters(0.3)["shift"] == 0.0


# ------------------------------------------------------------------ grid


@given(step=st.floats(0.2, 5), low=st.floats(0.2, 3), length=st.floats(0, 1))
def test_grid_steps_by_the_resolution(step: float, low: float, length: float) -> None:
    high = low + length
    masses = DOUBLE.grid(low, high, step)
    assert masses[0] == low
    assert (masses <= high).all()
    np.testing.assert_allclose(np.diff(masses), step * DOUBLE.sigma(masses[:-1]), rtol=1e-12)
    assert masses[-1] + step * DOUBLE.sigma(masses[-1]) > high


@pytest.mark.parametrize("step", [0.0, -1.0, np.nan])
def test_grid_refuses_a_step_that_is_none(step: float) -> None:
    with pytest.raises(InputError, match="positive number of resolutions"):
        DOUBLE.grid(0.3, 0.5, step)


def test_grid_refuses_a_range_that_is_none() -> None:
    with pytest.raises(InputError, match=r"from 0\.5 to 0\.3"):
        DOUBLE.grid(0.5, 0.3)


@pytest.mark.parametrize(("low", "high"), [(0.1, 1.0), (1.0, 5.0), (np.nan, 1.0)])
def test_grid_refuses_masses_outside_the_table(low: float, high: float) -> None:
    with pytest.raises(InputError, match="outside the signal shape's table"):
        DOUBLE.grid(low, high)


# ------------------------------------------------------------------ bad tables


@pytest.mark.parametrize("masses", [[1.0], [1.0, 1.0], [2.0, 1.0], [[1.0, 2.0]], [1.0, np.nan]])
def test_masses_must_ascend(masses: Any) -> None:
    with pytest.raises(InputError, match=r"signal shape \(a test\): give at least two masses"):
        SignalShape(
            np.array(masses), {"sigma": np.ones(np.shape(masses))}, source="a test", status="read"
        )


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"sigma": None}, "no column 'sigma'"),
        ({"width": [1.0, 1.0]}, r"columns \['sigma', 'width'\] are no known shape"),
        ({"alpha": [1.0, 1.0]}, "no known shape"),
        ({"alphal": [1.0, 1.0], "nl": [2.0, 2.0], "alphar": [1.0, 1.0]}, "no known shape"),
        ({"sigma": [0.01]}, "'sigma' needs a finite number for every mass"),
        ({"sigma": [0.01, np.nan]}, "'sigma' needs a finite number"),
        ({"shift": [0.01, np.inf]}, "'shift' needs a finite number"),
        ({"sigma": [0.01, 0.0]}, "'sigma' must be positive"),
        ({"alpha": [1.0, 1.0], "n": [-1.0, 2.0]}, "'n' must be positive"),
        ({"alpha": [1.0, 0.0], "n": [2.0, 2.0]}, "'alpha' must not be 0 or change its sign"),
        ({"alpha": [1.0, -1.0], "n": [2.0, 2.0]}, "'alpha' must not be 0 or change its sign"),
        (
            {"alphal": [1.0, -1.0], "nl": [2.0, 2.0], "alphar": [1.0, 1.0], "nr": [2.0, 2.0]},
            "'alphal' must be positive",
        ),
    ],
)
def test_bad_columns(columns: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        minimal(**columns)


def test_status_must_be_known() -> None:
    with pytest.raises(InputError, match="status 'guessed' is not one of read, derived, assumed"):
        SignalShape(MASSES, {"sigma": TABLE["sigma"]}, source="a test", status="guessed")


# ------------------------------------------------------------------ files


def assert_same(found: SignalShape, expected: SignalShape) -> None:
    np.testing.assert_array_equal(found.masses, expected.masses)
    assert set(found.table) == set(expected.table)
    for name, values in expected.table.items():
        np.testing.assert_array_equal(found.table[name], values)
    assert (found.source, found.status) == (expected.source, expected.status)


def csv_of(columns: dict[str, Any]) -> str:
    rows = zip(*(map(repr, np.asarray(v).tolist()) for v in columns.values()), strict=True)
    return "\n".join([", ".join(columns), *(", ".join(row) for row in rows)]) + "\n"


@pytest.mark.parametrize("kind", COLUMNS)
def test_csv_round_trip(tmp_path: Path, kind: str) -> None:
    shape = shape_of(kind)
    path = tmp_path / "shape.csv"
    path.write_text("# in GeV\n" + csv_of({"mass": shape.masses} | dict(shape.table)))
    assert_same(SignalShape.from_csv(path, source="a test", status="assumed"), shape)


@pytest.mark.parametrize("kind", COLUMNS)
def test_yaml_round_trip(tmp_path: Path, kind: str) -> None:
    shape = shape_of(kind)
    path = tmp_path / "shape.yaml"
    columns = {"mass": shape.masses} | dict(shape.table)
    lines = [f"{name}: {np.asarray(values).tolist()}" for name, values in columns.items()]
    path.write_text("\n".join(["source: a test", "status: assumed", *lines]))
    assert_same(SignalShape.from_yaml(path), shape)


def test_mapping_round_trip() -> None:
    content = {"source": "a test", "status": "assumed", "mass": list(MASSES), **TABLE}
    assert_same(SignalShape.from_mapping(content, where="here"), DOUBLE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "No such file"),
        ("", "No columns to parse"),
        ("m, sigma\n1, 2\n", r"no column 'mass'; there are \['m', 'sigma'\]"),
        ("mass, sigma\n0.5, wide\n", "could not convert string to float: 'wide'"),
        ("mass, sigma\n0.5, 0.01\n1.0,\n", "'sigma' needs a finite number for every mass"),
        ("mass, sigma\n0.5, 0.01, 7, 8\n1.0\n1, 2, 3, 4, 5, 6\n", "tokenizing"),
        ("mass, sigma\n1.0, 0.01\n0.5, 0.01\n", "ascending order"),
    ],
)
def test_bad_csv(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "shape.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        SignalShape.from_csv(path, source=str(path), status="read")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "No such file"),
        ("a: [1", "while parsing"),
        ("- 1\n- 2\n", "not a mapping"),
        ("", "not a mapping"),
        ("source: s\nsigma: [1, 2]\n", "mass, status missing"),
        ("source: s\nstatus: read\nmass: [1, heavy]\nsigma: [1, 2]\n", "not a number"),
        ("source: s\nstatus: read\nmass: [1, 2]\nsigma: [[1], [2, 3]]\n", "not a number"),
        ("source: s\nstatus: read\nmass: [1, 2]\nsigma: {a: 1}\n", "not a number"),
        ("source: s\nstatus: read\nmass: [1, 2]\n", "no column 'sigma'"),
        ("source: s\nstatus: maybe\nmass: [1, 2]\nsigma: [1, 2]\n", "status 'maybe'"),
    ],
)
def test_bad_yaml(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "shape.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=told) as caught:
        SignalShape.from_yaml(path)
    assert "\n" not in str(caught.value)


def test_binary_file_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "shape"
    path.write_bytes(b"\x80\xff\x00mass")
    with pytest.raises(InputError, match=r"signal shape .*shape"):
        SignalShape.from_yaml(path)
    with pytest.raises(InputError, match=r"signal shape .*shape"):
        SignalShape.from_csv(path, source="s", status="read")


# ------------------------------------------------------------------ PDFs


def test_the_table_decides_on_the_pdf() -> None:
    obs = zfit.Space("shape_kind", 0.0, 2.0)
    kinds = {
        "gauss": zfit.pdf.Gauss,
        "shifted": zfit.pdf.Gauss,
        "crystal ball": CrystalBall,
        "double": DoubleCB,
        "double shifted": DoubleCB,
    }
    for kind, expected in kinds.items():
        assert type(shape_of(kind).pdf(1.0, obs)) is expected


@pytest.mark.parametrize("kind", COLUMNS)
def test_pdf_of_a_number_and_of_a_parameter_agree(kind: str) -> None:
    shape, obs = shape_of(kind), zfit.Space("shape_pair", 0.1, 5.0)
    tag = kind.replace(" ", "_")
    mass = zfit.Parameter(f"shape_mass_{tag}", 0.4, floating=False)
    moving = shape.pdf(mass, obs, name=f"moving_{tag}")
    points = np.linspace(0.9, 1.7, 101)
    mass.set_value(1.3)
    fixed = shape.pdf(1.3, obs)
    np.testing.assert_allclose(
        np.asarray(moving.pdf(points)), np.asarray(fixed.pdf(points)), rtol=1e-11
    )
    assert moving.get_params(floating=False, is_yield=None) == {mass}


def test_pdf_peaks_at_mass_plus_shift_with_the_width_of_the_table() -> None:
    obs = zfit.Space("shape_peak", 0.1, 5.0)
    at = shape_of("shifted").parameters(1.7)
    points = np.linspace(1.6, 1.8, 41)
    found = np.asarray(shape_of("shifted").pdf(1.7, obs).pdf(points))
    np.testing.assert_allclose(found, norm.pdf(points, 1.7 + at["shift"], at["sigma"]), rtol=1e-9)
    assert at["shift"] != 0.0


def test_pdf_is_extended_and_named() -> None:
    pdf = shape_of("double").pdf(
        1.0, zfit.Space("shape_x", 0.0, 2.0), extended=25.0, name="Kp_signal"
    )
    assert pdf.name == "Kp_signal"
    assert float(pdf.get_yield().value()) == 25.0


def test_pdf_outside_the_table() -> None:
    obs = zfit.Space("shape_outside", 0.0, 9.0)
    with pytest.raises(InputError, match="outside the signal shape's table"):
        shape_of("gauss").pdf(7.0, obs)
    mass = zfit.Parameter("shape_mass_outside", 7.0, floating=False)
    pdf = shape_of("gauss").pdf(mass, obs, name="outside")
    assert np.isnan(np.asarray(pdf.pdf(np.array([7.0])))).all()


# ------------------------------------------------------------------ simulated samples


def double_cb_sample(rng: np.random.Generator, size: int, truth: dict[str, float]) -> FloatArray:
    """Events of a double-sided Crystal Ball, by the inverse of each piece's integral."""
    al, nl, ar, nr = (truth[name] for name in ("alphal", "nl", "alphar", "nr"))
    left = np.exp(-(al**2) / 2) * nl / al / (nl - 1)
    right = np.exp(-(ar**2) / 2) * nr / ar / (nr - 1)
    core = np.sqrt(2 * np.pi) * (norm.cdf(ar) - norm.cdf(-al))
    piece = rng.choice(3, size, p=np.array([left, core, right]) / (left + core + right))
    u = rng.uniform(size=size)
    t = norm.ppf(norm.cdf(-al) + u * (norm.cdf(ar) - norm.cdf(-al)))
    tails = [al + nl / al * (u ** (-1 / (nl - 1)) - 1), ar + nr / ar * (u ** (-1 / (nr - 1)) - 1)]
    t = np.where(piece == 0, -tails[0], np.where(piece == 2, tails[1], t))
    return truth["mu"] + truth["sigma"] * t


ERRORS = {"alphal": 0.028, "nl": 0.14, "alphar": 0.062, "nr": 0.54}


def test_samples_give_back_what_they_were_made_of(rng: np.random.Generator) -> None:
    """Each fitted number within 4 of its errors of the truth.

    The errors are the spread of this fit over 60 such samples of 20 000 events. With another seed
    the chance that one of the 12 numbers fails is 8e-4.
    """
    truth = {"alphal": 1.2, "nl": 3.0, "alphar": 1.8, "nr": 4.0}
    places = {0.6: {"mu": 0.601, "sigma": 0.009}, 1.5: {"mu": 1.498, "sigma": 0.012}}
    samples = {m: double_cb_sample(rng, 20_000, truth | at) for m, at in places.items()}
    shape = SignalShape.from_samples(samples, source="simulated here")
    assert shape.status == "derived"
    np.testing.assert_array_equal(shape.masses, [0.6, 1.5])
    for i, (mass, at) in enumerate(places.items()):
        expected = truth | {"shift": at["mu"] - mass, "sigma": at["sigma"]}
        assert set(shape.table) == set(expected)
        errors = ERRORS | {"shift": 0.0104 * at["sigma"], "sigma": 0.0127 * at["sigma"]}
        for name, value in expected.items():
            assert abs(shape.table[name][i] - value) < 4 * errors[name], (mass, name)


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        (np.full(500, 0.5), "at 0.5 GeV has no width"),
        (np.array([0.5, np.nan] * 200), "at 0.5 GeV holds NaN or infinite values"),
        (np.full(199, 0.5), "has 199 events within 0.15 GeV; at least 200 are needed"),
        (np.full(5000, 2.5), "has 0 events within 0.15 GeV"),
        (np.array([]), "has 0 events"),
        (np.full(5000, 0.66), "has 0 events within 0.15 GeV"),
    ],
)
def test_samples_that_cannot_be_fitted(sample: FloatArray, told: str) -> None:
    with pytest.raises(InputError, match=told):
        SignalShape.from_samples({0.5: sample, 1.0: sample}, source="bad")


@pytest.mark.parametrize("mass", [0.0, -0.5, np.nan])
def test_samples_at_no_mass(mass: float) -> None:
    with pytest.raises(InputError, match="mass must be positive"):
        SignalShape.from_samples({mass: np.zeros(500), 1.0: np.zeros(500)}, source="bad")


def test_range_of_a_light_mass_ends_at_zero(rng: np.random.Generator) -> None:
    """Only events up to twice the mass count: 150 of them here."""
    sample = np.concatenate([rng.uniform(0, 0.08, 150), rng.uniform(0.0801, 0.15, 500)])
    with pytest.raises(InputError, match=r"has 150 events within 0\.04 GeV"):
        SignalShape.from_samples({0.04: sample, 1.0: sample}, source="light")


@pytest.mark.parametrize("samples", [{}, {0.5: np.full(500, 0.5)}])
def test_samples_at_fewer_than_two_masses(samples: dict[float, FloatArray]) -> None:
    with pytest.raises(InputError, match="two masses at least"):
        SignalShape.from_samples(samples, source="few")

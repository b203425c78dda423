from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.optimize import brentq
from scipy.stats import norm, poisson

from zfit_dark import plot
from zfit_dark.errors import InputError
from zfit_dark.plot import fits
from zfit_dark.results import ChannelFit, Fit, Scan, Skipped

ETA = "$\\eta$ veto"
PI0 = "$\\pi^0$ veto"


def make_scan(n: int = 100, *, blind: bool = False, **changes: Any) -> Scan:
    """A scan from 0.2 to 1.19 GeV without [0.50, 0.59] (eta) and [0.90, 0.92] (pi0), say."""
    grid = np.round(0.2 + 0.99 * np.linspace(0, 1, n), 6)
    in_eta, in_pi0 = (grid > 0.495) & (grid < 0.595), (grid > 0.895) & (grid < 0.925)
    masses = grid[~in_eta & ~in_pi0]
    skipped = [Skipped(m, ETA) for m in grid[in_eta]] + [Skipped(m, PI0) for m in grid[in_pi0]]
    k = len(masses)
    median = 1e-7 * (1 + masses)
    nan = np.full(k, np.nan)
    values: dict[str, Any] = {
        "masses": masses,
        "observed": nan if blind else median * (1 + 0.3 * np.sin(40 * masses)),
        "expected": median[:, None] * np.array([0.5, 0.7, 1.0, 1.4, 2.0]),
        "poi_hat": nan,
        "poi_error": nan,
        "p0": nan if blind else np.full(k, 0.4),
        "valid": np.ones(k, dtype=bool),
        "warnings": ((),) * k,
        "skipped": tuple(skipped),
        "level": 0.9,
        "method": "asymptotic",
        "test_statistic": "qtilde",
        "blind": blind,
        "poi": "branching_fraction",
        "poi_label": r"$\mathcal{B}(B^+\to K^+a)$",
        "pseudo_data": True,
        "provenance": {},
    }
    return Scan(**(values | changes))


def make_channel(name: str = "Kplus", **changes: Any) -> ChannelFit:
    edges = np.linspace(0.3, 0.9, 61)
    x = np.linspace(0.3, 0.9, 600)
    values: dict[str, Any] = {
        "name": name,
        "label": f"channel {name}",
        "edges": edges,
        "counts": np.random.default_rng(1).poisson(20, 60),
        "expected": np.full(60, 20.0),
        "x": x,
        "total": 2000 + 3000 * np.exp(-0.5 * ((x - 0.4) / 0.01) ** 2),
        "background": np.full(600, 2000.0),
        "holes": ((0.50, 0.595, ETA), (2.0, 2.1, "far away")),
        "window": (0.3, 0.9),
    }
    return ChannelFit(**(values | changes))


def make_fit(n: int = 4, **changes: Any) -> Fit:
    values: dict[str, Any] = {
        "mass": 0.4,
        "poi_label": "$B$",
        "poi_unit": "fb",
        "poi_hat": 3.14e-7,
        "poi_error": 0.62e-7,
        "channels": tuple(make_channel(f"c{k}") for k in range(n)),
        "valid": True,
        "warnings": (),
        "pseudo_data": True,
    }
    return Fit(**(values | changes))


BLIND: dict[str, Any] = {
    "blind": True,
    "poi_hat": np.nan,
    "poi_error": np.nan,
}


def line(ax: Axes, label: str) -> Line2D:
    (found,) = [candidate for candidate in ax.lines if candidate.get_label() == label]
    return found


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(mpl.text.Text)]


def legend_words(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def xy(artist: Line2D) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(artist.get_xdata(), float), np.asarray(artist.get_ydata(), float)


def bands(ax: Axes) -> list[tuple[float, float, str]]:
    return [
        (patch.get_x(), patch.get_x() + patch.get_width(), str(patch.get_label()))
        for patch in ax.patches
    ]


# -- brazil ---------------------------------------------------------------------------------


def test_brazil_draws_the_numbers_of_the_scan() -> None:
    scan = make_scan()
    ax = plot.brazil(scan)
    for label, values in (("Observed", scan.observed), ("Expected, median", scan.expected[:, 2])):
        x, y = xy(line(ax, label))
        np.testing.assert_array_equal(x[np.isfinite(x)], scan.masses)
        np.testing.assert_array_equal(y[np.isfinite(y)], values)
    assert ax.get_yscale() == "log"


def test_brazil_bands_have_the_field_s_colours_and_the_right_edges() -> None:
    scan = make_scan(skipped=())
    ax = plot.brazil(scan)
    found = {str(band.get_label()): band for band in ax.collections}
    for label, color, low, high in (
        (r"Expected $\pm 1\sigma$", "#00cc00", 1, 3),
        (r"Expected $\pm 2\sigma$", "#ffcc00", 0, 4),
    ):
        band = found[label]
        assert to_hex(band.get_facecolor()[0]) == color
        (path,) = band.get_paths()
        outline = np.asarray(path.vertices)
        for k in (low, high):
            edge = {(m, v) for m, v in zip(scan.masses, scan.expected[:, k], strict=True)}
            assert edge <= {(m, v) for m, v in outline}


def test_brazil_breaks_lines_and_bands_over_vetoes() -> None:
    ax = plot.brazil(make_scan())
    for label in ("Observed", "Expected, median"):
        x, y = xy(line(ax, label))
        assert np.isnan(x).sum() == np.isnan(y).sum() == 2
        for segment in np.split(x, np.flatnonzero(np.isnan(x))):
            covered = segment[np.isfinite(segment)]
            for low, high in ((0.5, 0.59), (0.9, 0.92)):
                assert covered.max() < low or covered.min() > high
    for band in ax.collections:
        assert len(band.get_paths()) == 3


def test_brazil_merges_neighbouring_vetoes_into_one_band_each() -> None:
    ax = plot.brazil(make_scan())
    eta, pi0 = bands(ax)
    assert eta[2] == f"Not scanned: {ETA}"
    assert pi0[2] == f"Not scanned: {PI0}"
    assert 0.49 < eta[0] <= 0.50
    assert 0.59 <= eta[1] < 0.60
    assert 0.89 < pi0[0] <= 0.90
    assert 0.92 <= pi0[1] < 0.93
    assert {eta[2], pi0[2]} <= set(legend_words(ax))


def test_brazil_never_widens_a_veto_in_a_thin_scan() -> None:
    scan = make_scan(n=10)
    assert len(scan.skipped) == 1
    low, high, _ = bands(plot.brazil(scan))[0]
    assert high - low < 0.02
    x, _ = xy(line(plot.brazil(scan), "Observed"))
    assert np.isnan(x).sum() == 1


def test_one_reason_in_two_places_is_one_legend_entry() -> None:
    scan = make_scan()
    both = tuple(Skipped(hypothesis.mass, "veto") for hypothesis in scan.skipped)
    ax = plot.brazil(make_scan(skipped=both))
    assert len(bands(ax)) == 2
    assert legend_words(ax).count("Not scanned: veto") == 1


def test_brazil_breaks_at_missing_limits() -> None:
    scan = make_scan()
    observed = scan.observed.copy()
    observed[5] = np.nan
    x, _ = xy(line(plot.brazil(make_scan(observed=observed)), "Observed"))
    assert scan.masses[5] not in x
    assert np.isnan(x).sum() == 3


def test_a_mass_alone_between_vetoes_stays_visible() -> None:
    masses = np.array([1.0, 1.1, 1.3])
    scan = make_scan()
    few = {
        name: getattr(scan, name)[:3] for name in ("observed", "expected", "poi_hat", "poi_error")
    }
    few |= {"p0": np.full(3, 0.3), "valid": np.ones(3, dtype=bool), "warnings": ((),) * 3}
    skipped = (Skipped(1.2, "veto"),)
    x, y = xy(line(plot.brazil(make_scan(masses=masses, skipped=skipped, **few)), "Observed"))
    assert np.isnan(x).tolist() == [False, False, True, False, False]
    assert x[3] < 1.3 < x[4]
    assert y[3] == y[4] == few["observed"][2]


@pytest.mark.parametrize("pseudo_data", [True, False])
@pytest.mark.parametrize("draw", [plot.brazil, plot.p_values])
def test_pseudo_data_is_called_so(draw: Any, pseudo_data: bool) -> None:
    ax = draw(make_scan(pseudo_data=pseudo_data))
    assert ("Pseudo-data" in words(ax.figure)) is pseudo_data


def test_flagged_masses_carry_a_cross() -> None:
    scan = make_scan()
    k = len(scan.masses)
    valid = np.ones(k, dtype=bool)
    valid[3] = False
    warnings = [()] * k
    warnings[10] = ("few events",)
    ax = plot.brazil(make_scan(valid=valid, warnings=tuple(warnings)))
    x, y = xy(line(ax, "Not converged or warning (2)"))
    np.testing.assert_array_equal(x, scan.masses[[3, 10]])
    np.testing.assert_array_equal(y, scan.observed[[3, 10]])
    assert "Not converged or warning (2)" in legend_words(ax)
    assert not [entry for entry in legend_words(plot.brazil(scan)) if "converged" in entry]


def test_flagged_mass_without_a_limit_is_still_marked() -> None:
    scan = make_scan()
    observed, valid = scan.observed.copy(), np.ones(len(scan.masses), dtype=bool)
    observed[7], valid[7] = np.nan, False
    ax = plot.brazil(make_scan(observed=observed, valid=valid))
    marker = line(ax, "Not converged or warning (1)")
    x, y = xy(marker)
    assert x.tolist() == [scan.masses[7]]
    assert y.tolist() == [0.02]
    assert marker.get_transform() == ax.get_xaxis_transform()


def test_blind_brazil_shows_expected_only() -> None:
    ax = plot.brazil(make_scan(blind=True))
    assert "Observed" not in [artist.get_label() for artist in ax.lines]
    assert "Observed" not in legend_words(ax)
    assert any("Blind" in text for text in words(ax.figure))  # type: ignore[arg-type]
    assert not any("Blind" in text for text in words(plot.brazil(make_scan()).figure))  # type: ignore[arg-type]


def test_brazil_labels() -> None:
    ax = plot.brazil(make_scan(poi_unit="fb", level=0.95), mass_label="$m$ [GeV]")
    assert ax.get_xlabel() == "$m$ [GeV]"
    assert ax.get_ylabel() == (
        r"Upper limit on $\mathcal{B}(B^+\to K^+a)$ at 95 % CL (CL$_\mathrm{s}$) [fb]"
    )
    assert plot.brazil(make_scan()).get_xlabel() == "$m_a$ [GeV]"
    assert plot.brazil(make_scan()).get_ylabel().endswith(r"at 90 % CL (CL$_\mathrm{s}$)")


@pytest.mark.parametrize(("n", "marked"), [(30, True), (100, False)])
def test_few_masses_get_markers(n: int, marked: bool) -> None:
    ax = plot.brazil(make_scan(n=n))
    assert ("_points" in [artist.get_label() for artist in ax.lines]) is marked


@pytest.mark.parametrize("draw", [plot.brazil, plot.p_values])
def test_legend_and_text_cover_no_curve(draw: Any) -> None:
    scan = make_scan()
    valid = np.ones(len(scan.masses), dtype=bool)
    valid[3] = False
    observed = scan.observed.copy()
    observed[60] *= 30
    p0 = scan.p0.copy()
    p0[60] = 1e-9
    ax = draw(make_scan(valid=valid, observed=observed, p0=p0))
    ax.figure.draw_without_rendering()
    boxes = [ax.get_legend().get_window_extent()]
    boxes += [text.get_window_extent() for text in ax.texts if text.get_text() == "Pseudo-data"]
    assert len(boxes) == 2
    assert not boxes[0].overlaps(boxes[1])
    for artist in ax.lines:
        if artist.get_transform() != ax.transData or str(artist.get_label()).endswith("sigma"):
            continue
        points = ax.transData.transform(np.column_stack(xy(artist)))
        points = points[np.all(np.isfinite(points), axis=1)]
        assert not any(box.contains(px, py) for box in boxes for px, py in points)


def test_long_reasons_make_the_legend_smaller() -> None:
    reason = "a reason that somebody wrote without any thought of the legend it ends up in"
    skipped = tuple(Skipped(hypothesis.mass, reason) for hypothesis in make_scan().skipped)
    ax = plot.brazil(make_scan(skipped=skipped))
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_window_extent().x0 > ax.get_window_extent().x0


def test_long_labels_fit_the_axis() -> None:
    ax = plot.brazil(make_scan(poi_label="a rather long name of a parameter of interest, indeed"))
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    height = ax.get_window_extent().height
    assert ax.yaxis.label.get_window_extent().height <= 1.01 * height


def test_scan_without_limits_is_refused() -> None:
    nan = np.full(len(make_scan().masses), np.nan)
    with pytest.raises(InputError, match="no limit to draw"):
        plot.brazil(make_scan(observed=nan, expected=np.tile(nan[:, None], 5)))


# -- p_values -------------------------------------------------------------------------------


def test_p_values_draws_the_numbers_and_the_levels() -> None:
    scan = make_scan()
    ax = plot.p_values(scan)
    x, y = xy(line(ax, "Local $p_0$"))
    np.testing.assert_array_equal(x[np.isfinite(x)], scan.masses)
    np.testing.assert_array_equal(y[np.isfinite(y)], scan.p0)
    assert np.isnan(x).sum() == 2
    for z in range(1, 6):
        _, level = xy(line(ax, f"_{z} sigma"))
        np.testing.assert_allclose(level, norm.sf(z), rtol=1e-12)
        assert rf"${z}\sigma$" in words(ax.figure)  # type: ignore[arg-type]
    low, high = ax.get_ylim()
    assert low < norm.sf(5)
    assert high > 1


def test_smallest_p_value_is_named() -> None:
    scan = make_scan()
    p0, valid = scan.p0.copy(), np.ones(len(scan.masses), dtype=bool)
    p0[20], p0[40], valid[40] = norm.sf(4.26), 1e-12, False
    ax = plot.p_values(make_scan(p0=p0, valid=valid))
    expected = rf"4.3$\,\sigma$ local at {scan.masses[20]:.4g} GeV"
    (annotation,) = [text for text in ax.texts if isinstance(text, mpl.text.Annotation)]
    local, overall = annotation.get_text().splitlines()
    assert local == expected
    # one rise above 0.7 sigma, that of the peak itself
    p = norm.sf(4.26) + np.exp(-(4.26**2 - 0.49) / 2)
    assert overall == rf"{norm.isf(p):.1f}$\,\sigma$ global (Gross$-$Vitells)"
    assert annotation.xy == (scan.masses[20], p0[20])
    assert ax.get_ylim()[0] < 1e-12


def test_toys_of_the_scan_are_named() -> None:
    scan = make_scan(largest_excess=2.0, toy_excesses=np.linspace(0.0, 3.0, 99))
    (annotation,) = [t for t in plot.p_values(scan).texts if isinstance(t, mpl.text.Annotation)]
    # 33 of the toys, and the data: 34 of 100
    assert annotation.get_text().splitlines()[2] == r"0.4$\,\sigma$ global (99 toys)"


def test_p_value_of_zero_can_be_drawn() -> None:
    p0 = make_scan().p0.copy()
    p0[4] = 0.0
    ax = plot.p_values(make_scan(p0=p0))
    _, y = xy(line(ax, "Local $p_0$"))
    assert np.nanmin(y) > 0


def test_p_values_refuses_blind_scans() -> None:
    with pytest.raises(InputError, match="blind scan has no p-values"):
        plot.p_values(make_scan(blind=True))


def test_p_values_refuses_a_scan_without() -> None:
    with pytest.raises(InputError, match="holds no p-value"):
        plot.p_values(make_scan(p0=np.full(len(make_scan().masses), np.nan)))


# -- fit ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_fit_has_data_and_pulls_for_each_channel(n: int) -> None:
    figure = plot.fit(make_fit(n), observable_label="$M$ [GeV]")
    assert len(figure.axes) == 2 * n
    for k in range(n):
        upper, lower = figure.axes[2 * k : 2 * k + 2]
        assert f"channel c{k}" in [text.get_text() for text in upper.texts]
        assert upper.get_ylabel() == "Candidates / (10 MeV)"
        assert (lower.get_ylabel(), lower.get_xlabel()) == ("Pull", "$M$ [GeV]")
        assert upper.get_xlim() == (0.3, 0.9)


def test_fit_data_curves_and_pulls_are_the_numbers() -> None:
    result = make_fit(1)
    channel = result.channels[0]
    upper, lower = plot.fit(result).axes
    outside = (channel.edges[1:] <= 0.5 + 1e-9) | (channel.edges[:-1] >= 0.595)
    (data,) = upper.containers
    x, y = xy(data.lines[0])
    centres = 0.5 * (channel.edges[1:] + channel.edges[:-1])
    cut = np.isclose(centres, 0.595)
    np.testing.assert_allclose(x, centres[outside | cut])
    np.testing.assert_allclose(y, np.where(cut, 2 * channel.counts, channel.counts)[outside | cut])
    for label, density in (
        ("Signal + background", channel.total),
        ("Background", channel.background),
    ):
        x, y = xy(line(upper, label))
        inside_hole = (channel.x > 0.5) & (channel.x < 0.595)
        np.testing.assert_array_equal(np.isnan(y), inside_hole)
        np.testing.assert_allclose(y[~inside_hole], 0.01 * density[~inside_hole])
    pulls = np.array([bar.get_height() for bar in lower.containers[0]])
    wanted = (channel.counts - 20) / np.sqrt(20)
    np.testing.assert_allclose(pulls, wanted[outside | cut])


def test_fit_bars_are_garwood_intervals() -> None:
    counts = np.array([0, 1, 2, 5, 17, 120, 4000])
    low, high = fits._poisson_interval(counts.astype(float))
    tail = norm.sf(1)
    for n, a, b in zip(counts, low, high, strict=True):
        upper = brentq(lambda mu, n=n: poisson.cdf(n, mu) - tail, n, n + 10 * np.sqrt(n + 1))
        assert b == pytest.approx(upper, rel=1e-9)
        if n == 0:
            assert a == 0
            continue
        lower = brentq(lambda mu, n=n: poisson.sf(n - 1, mu) - tail, 1e-9, n)
        assert a == pytest.approx(lower, rel=1e-9)


def test_fit_shades_holes_in_the_window() -> None:
    figure = plot.fit(make_fit(2))
    for ax in figure.axes:
        shades = [patch for patch in bands(ax) if patch[2].startswith("Left out")]
        assert [shade[2] for shade in shades] == [f"Left out: {ETA}"]
        assert shades[0][:2] == pytest.approx((0.50, 0.595))
    (legend,) = figure.legends
    entries = [text.get_text() for text in legend.get_texts()]
    assert entries == ["Pseudo-data", "Background", "Signal + background", f"Left out: {ETA}"]


@pytest.mark.parametrize("pseudo_data", [True, False])
def test_fit_calls_pseudo_data_so(pseudo_data: bool) -> None:
    figure = plot.fit(make_fit(2, pseudo_data=pseudo_data))
    assert ("Pseudo-data" in words(figure)) is pseudo_data
    for ax in figure.axes[::2]:
        assert ("Pseudo-data" in [text.get_text() for text in ax.texts]) is pseudo_data
    assert ("Data" in words(figure)) is not pseudo_data


def test_fit_names_the_best_fit() -> None:
    title = r"Hypothesis at 0.4 GeV:  $B$ = $(3.14 \pm 0.62) \times 10^{-7}$ fb"
    assert title in words(plot.fit(make_fit(1)))


@pytest.mark.parametrize("valid", [True, False])
def test_fit_that_did_not_converge_says_so_in_red(valid: bool) -> None:
    figure = plot.fit(make_fit(2, valid=valid))
    flags = [t for t in figure.findobj(mpl.text.Text) if t.get_text() == "Fit not converged"]
    assert len(flags) == (0 if valid else 2)
    assert all(flag.get_color() == "#d62728" for flag in flags)


def test_blind_fit_shows_nothing_of_the_blind_region() -> None:
    channels = tuple(make_channel(f"c{k}", hidden=(0.35, 0.45)) for k in range(2))
    figure = plot.fit(make_fit(channels=channels, **BLIND))
    for upper, lower in zip(figure.axes[::2], figure.axes[1::2], strict=True):
        x, _ = xy(upper.containers[0].lines[0])
        assert len(x) > 0
        assert not np.any((x > 0.35) & (x < 0.45))
        for bar in lower.containers[0]:
            assert bar.get_x() + bar.get_width() <= 0.351 or bar.get_x() >= 0.449
        assert "Signal + background" not in [artist.get_label() for artist in upper.lines]
        assert "Blind" in [text.get_text() for text in upper.texts]
        assert (0.35, 0.45, "Blind region") in [
            (round(low, 9), round(high, 9), label) for low, high, label in bands(upper)
        ]
    assert "Hypothesis at 0.4 GeV" in words(figure)
    assert not any("pm" in text for text in words(figure))


def test_fit_without_events_can_be_drawn() -> None:
    empty = make_channel(counts=np.zeros(60), expected=np.zeros(60))
    figure = plot.fit(make_fit(channels=(empty,)))
    assert len(figure.axes) == 2


def test_fit_without_channels_is_refused() -> None:
    with pytest.raises(InputError, match=r"fit at 0\.4 GeV has no channels"):
        plot.fit(make_fit(0))


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.234e-7, 3.21e-8, r"$(1.23 \pm 0.32) \times 10^{-7}$"),
        (-1.2e-8, 3.21e-7, r"$(-0.1 \pm 3.2) \times 10^{-7}$"),
        (12.34, 3.21, r"$12.3 \pm 3.2$"),
        (1234.5, 321.0, r"$1234 \pm 321$"),
        (0.5, 0.0123, r"$0.500 \pm 0.012$"),
        (2.0, np.nan, "2"),
    ],
)
def test_measurement(value: float, error: float, text: str) -> None:
    assert fits._measurement(value, error) == text


# -- matplotlib -----------------------------------------------------------------------------


def test_nothing_global_changes() -> None:
    before = dict(mpl.rcParams)
    axes = [plot.brazil(make_scan()), plot.p_values(make_scan())]
    figure = plot.fit(make_fit(2))
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []
    for item in [*(ax.figure for ax in axes), figure]:
        item.savefig(io.BytesIO(), format="png", dpi=30)  # type: ignore[union-attr]


@pytest.mark.parametrize("given", [True, False])
def test_style_stays_when_drawn_later(given: bool) -> None:
    drawn = Figure()
    drawn.add_subplot()
    drawn.draw_without_rendering()
    ax = plot.brazil(make_scan(), drawn.axes[0] if given else None)
    ax.set_xlim(0.0, 40.0)
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    for tick in ax.xaxis.get_major_ticks():
        assert tick.label1.get_fontfamily()[0] == "TeX Gyre Heros"
        assert tick.tick1line.get_markersize() == 9


@pytest.mark.parametrize("draw", [plot.brazil, plot.p_values])
def test_draws_on_given_axes(draw: Any) -> None:
    figure = Figure()
    ax = figure.add_subplot()
    assert draw(make_scan(), ax) is ax
    subfigure = Figure().subfigures(1, 2)[0]
    ax = subfigure.add_subplot()
    assert draw(make_scan(), ax) is ax


def test_labels_on_given_axes_are_ours() -> None:
    own = plot.brazil(make_scan())
    large, small = (Figure(figsize=size).add_subplot() for size in ((10, 7), (4.5, 3)))
    for ax in (large, small):
        plot.brazil(make_scan(), ax)
    for name in ("xaxis", "yaxis"):
        ours, same, half = (getattr(ax, name).label for ax in (own, large, small))
        assert same.get_fontfamily() == ours.get_fontfamily()
        if name == "xaxis":  # the other label is as long as fits
            assert same.get_fontsize() == ours.get_fontsize()
            assert half.get_fontsize() == 0.5 * ours.get_fontsize()


def test_limits_near_one_have_plain_numbers() -> None:
    scan = make_scan()
    scale = 3.0 / scan.expected[:, 2].mean()
    near = make_scan(observed=scan.observed * scale, expected=scan.expected * scale)
    for each, power in ((near, False), (make_scan(), True)):
        ax = plot.brazil(each)
        ax.figure.draw_without_rendering()  # type: ignore[union-attr]
        shown = [tick.label1.get_text() for tick in ax.yaxis.get_major_ticks()]
        assert any("10^" in text for text in shown) == power


def test_fit_fills_a_given_figure() -> None:
    figure = Figure(figsize=(18, 13))
    assert plot.fit(make_fit(4), figure) is figure
    assert len(figure.axes) == 8
    assert tuple(figure.get_size_inches()) == (18, 13)


def test_needs_results_only() -> None:
    code = (
        "import sys, zfit_dark.plot; "
        "print([m for m in ('tensorflow', 'zfit', 'hepstats', 'uproot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

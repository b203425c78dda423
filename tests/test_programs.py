"""Programs that are made again: equal graphs share one, and no other graph gets it."""

from __future__ import annotations

import gc
import itertools

import numpy as np
import pytest
import tensorflow as tf
import zfit

import zfit_dark as zd
from zfit_dark import programs
from zfit_dark.profile import compiled

_COUNT = itertools.count()


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(programs, "_known", {})


def loss_of(*, mu=0.6, upper=2.0, sigma=0.2, degree=1, events=100, name="x"):
    """A loss with its signal yield; parameters have new names every time."""
    n = next(_COUNT)
    obs = zfit.Space(name, 0.0, upper)
    signal = zfit.Parameter(f"programs_s{n}", 10.0)
    background = zfit.Parameter(f"programs_b{n}", 100.0, 0.0)
    where = zfit.Parameter(f"programs_mu{n}", mu, floating=False)
    coefficients = [zfit.Parameter(f"programs_c{n}_{i}", 0.1) for i in range(degree)]
    model = zfit.pdf.SumPDF(
        [
            zfit.pdf.Gauss(where, sigma, obs, extended=signal),
            zfit.pdf.Chebyshev(obs, coefficients, extended=background),
        ]
    )
    data = np.random.default_rng(1).uniform(0.0, 1.9, events)
    return zfit.loss.ExtendedUnbinnedNLL(model, zfit.Data.from_numpy(obs=obs, array=data)), signal


def fit_program(loss):
    ours = compiled(loss)
    return ours._program("fit", ours.observed().capacity)


def test_a_loss_that_is_made_again_is_not_compiled_again():
    (first, s1), (second, s2) = loss_of(), loss_of(events=90, mu=0.8)
    limits = [zd.upper_limit(first, s1), zd.upper_limit(second, s2)]
    kept = list(programs._known.values())
    mine = [list(compiled(loss)._programs.values()) for loss in (first, second)]
    assert mine[0] == mine[1] == kept
    programs._known.clear()
    again = zd.upper_limit(*loss_of(events=90, mu=0.8))
    assert list(programs._known.values()) != kept
    assert again.observed == limits[1].observed != limits[0].observed


CHANGES = [
    {"upper": 1.95},
    {"sigma": np.nextafter(0.2, 1.0)},
    {"degree": 2},
    {"events": 400},
]


@pytest.fixture
def uncompiled(monkeypatch):
    """Programs are traced only."""
    monkeypatch.setattr(programs, "_compiled", lambda *_: lambda *_: None)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("change", CHANGES, ids=lambda c: next(iter(c)))
def test_another_model_has_another_program(change):
    plain = fit_program(loss_of()[0])
    assert fit_program(loss_of(name="y")[0]) is plain
    assert fit_program(loss_of(**change)[0]) is not plain


def traced(build, *sizes):
    return tf.function(build, autograph=False).get_concrete_function(
        *[tf.TensorSpec((n,), tf.float64) for n in sizes]
    )


def looped(step, name):
    def build(x):
        with tf.name_scope(name):
            return tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, step(y)), (0, x))[1]

    return build


ONE, TWO = tf.constant(1.0, tf.float64), tf.constant(2.0, tf.float64)
GRAPHS = {
    "sum": lambda x: x + 1.0,
    "another constant": lambda x: x + np.nextafter(1.0, 2.0),
    "difference": lambda x: x - 1.0,
    "other way round": lambda x: 1.0 - x,
    "twice": lambda x: x + 1.0 + 1.0,
    "one of two": lambda x: tf.split(x, 2)[0],
    "the other": lambda x: tf.split(x, 2)[1],
    "captured": lambda x: x + ONE,
    "captured two": lambda x: x + TWO,
    "in a loop": looped(lambda y: y + 1.0, "first"),
    "another in a loop": looped(lambda y: y + 2.0, "first"),
    "other operation in a loop": looped(lambda y: y * 1.0, "first"),
    "cosine": lambda x: tf.cond(x[0] > 0, lambda: tf.cos(x), lambda: tf.sin(x)),
    "sine": lambda x: tf.cond(x[0] > 0, lambda: tf.sin(x), lambda: tf.cos(x)),
    "of pairs": lambda x: tf.reduce_sum(tf.reshape(x, (2, -1)), 0),
    "of columns": lambda x: tf.reduce_sum(tf.reshape(x, (2, -1)), 1),
}


def test_graphs_of_one_meaning_have_one_key():
    keys = {name: programs._meaning(traced(build, 4)) for name, build in GRAPHS.items()}
    assert len(set(keys.values())) == len(GRAPHS)
    for name, build in GRAPHS.items():
        assert programs._meaning(traced(build, 4)) == keys[name]
        assert programs._meaning(traced(build, 6)) != keys[name]
    renamed = looped(lambda y: y + 1.0, "second")
    assert programs._meaning(traced(renamed, 4)) == keys["in a loop"]


def test_a_variable_has_no_key():
    variable = tf.Variable(1.0, dtype=tf.float64)
    assert programs._meaning(traced(lambda x: x + variable, 4)) is None


def test_python_functions_are_told_apart():
    def called(f):
        return traced(lambda x: tf.py_function(f, [x], tf.float64), 4)

    one, other = called(lambda x: x + 1.0), called(lambda x: x + 2.0)
    assert programs._meaning(one) != programs._meaning(other)


def test_a_program_that_moves_with_a_variable_is_not_shared():
    variable = tf.Variable(1.0, dtype=tf.float64)
    made = [programs.program(lambda x: x + variable, [2], by_xla=True) for _ in range(2)]
    assert made[0] is not made[1]
    variable.assign(5.0)
    for program in made:
        np.testing.assert_array_equal(program(tf.zeros(2, tf.float64)), 5.0)


@pytest.mark.usefixtures("uncompiled")
def test_only_the_last_programs_are_kept(monkeypatch):
    monkeypatch.setattr(programs, "_KEPT", 2)

    def added(n):
        return programs.program(lambda x: x + float(n), [2], by_xla=True)

    first, second = added(1), added(2)
    assert added(1) is first  # and is the last one now
    third = added(3)
    assert list(programs._known.values()) == [first, third]
    assert added(2) is not second
    assert added(3) is third


def test_what_is_left_to_tensorflow_is_not_shared():
    made = [programs.program(lambda x: x + 1.0, [2], by_xla=False) for _ in range(2)]
    assert made[0] is not made[1]
    assert not programs._known


def test_a_failure_leaves_nothing_behind():
    def refused(x):
        return tf.py_function(lambda y: y, [x], tf.float64)

    with pytest.raises(Exception, match="PyFunc"):
        programs.program(refused, [2], by_xla=True)
    assert not programs._known
    assert gc.isenabled()

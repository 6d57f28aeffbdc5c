from __future__ import annotations

from navforge.metric_cache.fingerprint import _code, code_fingerprint

SOURCE = '''
"""Module."""
LIMIT = 3  # metres


def f(x):
    """Twice x."""
    return 2 * x
'''


def test_comments_docstrings_and_layout_do_not_count():
    plain = "LIMIT=3\ndef f(x):\n  return (2*x)\n"
    assert _code(SOURCE) == _code(plain)


def test_code_counts():
    assert _code(SOURCE) != _code(SOURCE.replace("3", "4"))
    assert _code(SOURCE) != _code(SOURCE.replace("2 * x", "x * 2"))


def test_fingerprint_is_stable_in_a_process():
    assert code_fingerprint() == code_fingerprint()
    assert len(code_fingerprint()) == 16


def test_packages_decide():
    assert code_fingerprint(("scoring",)) != code_fingerprint(("simulation",))
    assert code_fingerprint(("scoring",)) != code_fingerprint()

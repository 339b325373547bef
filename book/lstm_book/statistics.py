"""Two intervals that are easily mixed up: of the mean of all seeds and of one more (chapter 13)."""

from __future__ import annotations

from lstm.equations.registry import equation

# 97.5 % points of Student's t for 1, 2, ... degrees of freedom: half widths of 95 % intervals.
STUDENT = (
    *(12.706205, 4.302653, 3.182446, 2.776445, 2.570582),
    *(2.446912, 2.364624, 2.306004, 2.262157, 2.228139),
)


def student(freedom: int) -> float:
    """Return the 97.5 % point of Student's t distribution with so many degrees of freedom."""
    # Beyond the table its expansion in 1/freedom is good to a ten-thousandth.
    far = 1.959964 + 2.372271 / freedom + 2.822499 / freedom**2 + 2.555873 / freedom**3
    return STUDENT[freedom - 1] if freedom <= len(STUDENT) else far


@equation("eq-interval-of-mean")
def interval_of_mean(deviation: float, count: int) -> float:
    r"""Half width of the 95 % interval of the mean, equation ``eq-interval-of-mean``.

    .. math:: \bar a \pm t_{n-1} \, \frac{s}{\sqrt n}

    Parameters
    ----------
    deviation : float
        s, the standard deviation of the values.
    count : int
        n, how many there are; at least 2.

    Returns
    -------
    float
        What stands behind the ±.
    """
    return student(count - 1) * deviation / count**0.5


@equation("eq-interval-of-seed")
def interval_of_seed(deviation: float, count: int) -> float:
    r"""Half width of the interval for one more value, equation ``eq-interval-of-seed``.

    .. math:: \bar a \pm t_{n-1} \, s \sqrt{1 + \frac{1}{n}}

    Parameters
    ----------
    deviation : float
        s, the standard deviation of the values.
    count : int
        n, how many there are; at least 2.

    Returns
    -------
    float
        What stands behind the ±.
    """
    return student(count - 1) * deviation * (1 + 1 / count) ** 0.5

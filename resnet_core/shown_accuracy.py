"""How accuracies are written wherever people read them: in percent, with the decimals that so many images can tell."""

from typing import Literal

MOST_DECIMALS = 2


def decimals(images: int | None) -> int:
    """The fewest decimals of a percentage in which one image more can be seen; of unknown images, the most."""
    if images is None:
        return MOST_DECIMALS
    return next((places for places in range(MOST_DECIMALS) if images <= 100 * 10**places), MOST_DECIMALS)


def percent(share: float | None, images: int | None) -> str:
    """The share of so many images; a dash where it is not known."""
    return "–" if share is None else f"{100 * share:.{decimals(images)}f} %"


def points(difference: float, images: int | None, sign: Literal["-", "+"] = "-") -> str:
    """A difference between two shares in percentage points; with `+` a positive one has its sign, too."""
    return f"{100 * difference:{sign}.{decimals(images)}f}"


def in_percent(share: float | None, images: int | None) -> float | None:
    """The number that `percent` writes, for tables that programs read."""
    return None if share is None else round(100 * share, decimals(images))

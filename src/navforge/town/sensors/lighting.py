"""Light and weather of one log: sun, haze, tint."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.town.scales import CityStyle

PLAIN = CityStyle()
Color = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a log is lit; colours are linear shares of 255."""

    sun_azimuth: float
    """rad, counter-clockwise from east."""
    sun_elevation: float
    """rad above the horizon."""
    sun_color: Color
    ambient_color: Color
    zenith: Color
    horizon: Color
    visibility: float
    """Distance in m over which haze takes 63 % of the contrast."""

    @property
    def sun_direction(self) -> NDArray[np.float64]:
        """Unit vector (3,) to the sun, town frame."""
        level = math.cos(self.sun_elevation)
        x, y = level * math.cos(self.sun_azimuth), level * math.sin(self.sun_azimuth)
        return np.array([x, y, math.sin(self.sun_elevation)])


def look_of(seed: int, style: CityStyle = PLAIN) -> Look:
    """The look of the log with this seed in a city of this style."""
    random = np.random.default_rng([seed, 0x5E11])
    elevation = math.radians(random.uniform(*style.sun_elevation_deg))
    warmth = float(np.interp(math.degrees(elevation), [28.0, 65.0], [1.0, 0.0])) * random.uniform(0.3, 1.0)
    clouds = random.uniform(*style.clouds)
    strength = 0.78 - 0.24 * clouds
    sun = (strength * (1.0 + 0.08 * warmth), strength, strength * (1.0 - 0.16 * warmth))
    shade = 0.50 + 0.16 * clouds
    ambient = (shade * 0.97, shade, shade * 1.06)
    blue = np.array([0.30, 0.50, 0.82])
    gray = np.array([0.62, 0.66, 0.71])
    pale = np.array([0.78 + 0.08 * warmth, 0.83, 0.89 - 0.08 * warmth])
    zenith = (1.0 - clouds) * blue + clouds * gray
    return Look(
        sun_azimuth=random.uniform(-math.pi, math.pi),
        sun_elevation=elevation,
        sun_color=sun,
        ambient_color=ambient,
        zenith=(float(zenith[0]), float(zenith[1]), float(zenith[2])),
        horizon=(float(pale[0]), float(pale[1]), float(pale[2])),
        visibility=random.uniform(*style.visibility_m),
    )

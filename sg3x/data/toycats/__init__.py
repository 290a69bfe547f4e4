"""Toy cats: a procedural data set of cat faces, to test and to demonstrate with when no photographs are at hand.

`traits` draws what a cat looks like, `picture` paints it back to front (backdrop, body, ears, head, coat, features) and
`writer` fills a folder. Everything is a pure function of (seed, index).
"""

from sg3x.data.toycats.picture import MAX_SIZE, MIN_SIZE, render_toycat
from sg3x.data.toycats.traits import BACKGROUNDS, PATTERNS, PUPILS, Traits
from sg3x.data.toycats.writer import write_toycats

__all__ = ["BACKGROUNDS", "MAX_SIZE", "MIN_SIZE", "PATTERNS", "PUPILS", "Traits", "render_toycat", "write_toycats"]

"""The choice, tile by tile, between the networks, WebP for what is drawn, and WebP for all of a tile.

    picture --drawn_mask--> None            -> networks alone, as if nothing else were there
                            mask by tile    -> networks | mask as WebP over networks | WebP, lossless or lossy

What the networks get is the picture with its drawn pixels filled from around them, see
`vqcodec.compress.filling`. The choice for one level, a `Plan`, may be followed at others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vqcodec.bitstream.drawn import DRAWN_SIDE_MAX
from vqcodec.compress.drawn_plan import Plan, drawn_segments
from vqcodec.compress.encoded import Encoded
from vqcodec.compress.filling import filled
from vqcodec.compress.lossless_guess import LosslessGuess
from vqcodec.compress.tile_choice import Choice, WebpTile, squared_error
from vqcodec.image.picture import Picture
from vqcodec.image.webp import MOST_PIXELS, Mask, Pixels
from vqcodec.tiling import Place, pixel_tiles, size
from vqcodec.types import LEVEL_MAX

GAIN = 0.95
"""A drawn part must lower a tile's cost to this share: two coders for little gain are not worth it."""
SMALL, BUSIER = 0.1, 3
"""The networks spend hardly more times as many bits on a drawn pixel as on an average one. Where less than
this share of a tile looks drawn, their error in it is not looked at."""
QUICK = 4
"""A lossless file that was made quickly is hardly more times as large as it could be."""
EXACT, EXACT_BITS = 0.8, 800
"""What is drawn everywhere is exact unless a lossy file costs less than this share of it, less these bits."""
SLOW_EFFORT = 4
"""From this effort on, lossless files are made slowly."""

Code = Callable[[Pixels, int, bool], Encoded]
"""Codes a picture of these pixels at a level by the networks, for good or, quicker, to compare."""
Decode = Callable[[Encoded, Place], Pixels]
"""Pixels of a place as the networks decode them."""


class DrawnEncoder:
    """Codes one picture, at as many levels as it takes; WebP data are made once."""

    def __init__(
        self,
        picture: Picture,
        tile: int,
        asked: int,
        effort: int,
        look: Callable[[], Mask | None],
        code: Code,
        decode: Decode,
    ) -> None:
        """Look at nothing yet.

        Args:
            tile, asked: side of the tiles, and the one that was asked for.
            look: what is drawn of the picture, see `vqcodec.compress.drawn_blocks`.
        """
        self._pixels, self._gray = picture.pixels, picture.gray
        self._look, self._code, self._decode = look, code, decode
        self._slow = effort >= SLOW_EFFORT
        self._searches = effort > 1
        self._other_tile = None if tile == asked else tile
        self._places = list(pixel_tiles(picture.width, picture.height, tile))
        self._columns = -(-picture.width // (tile or picture.width))
        self._tiles: dict[int, WebpTile] = {}
        tall, wide = size(self._places[0])
        self.possible = max(tall, wide) <= DRAWN_SIDE_MAX and tall * wide <= MOST_PIXELS
        self._filled: tuple[Mask, Pixels] | None = None

    @property
    def any_drawn(self) -> bool:
        """Whether anything of the picture looks drawn."""
        return self._mask is not None

    @property
    def _mask(self) -> Mask | None:
        return self._look()

    def lossless(self, level: int) -> Encoded:
        """All tiles as lossless WebP."""
        tiles = [self._tile(number).lossless() for number in range(len(self._places))]
        return self.follow(Plan(self, level, tiles), level)

    def lossless_within(self, level: int, most: int, guess: LosslessGuess) -> Encoded | None:
        """The same, if its segments have at most so many bytes; quickly where they have clearly more."""
        tiles = [self._tile(number) for number in range(len(self._places))]
        if guess.clearly_more(sum(tile.at_most() for tile in tiles), most):
            return None
        exact = self.lossless(level)
        return exact if exact.size <= most else None

    def lossy(self, quality: int) -> Encoded:
        """All tiles as lossy WebP of a quality 0 to 100."""
        level = quality * LEVEL_MAX // 100
        tiles = [self._tile(number).lossy_at(quality) for number in range(len(self._places))]
        return self.follow(Plan(self, level, tiles), level)

    def alone(self, level: int) -> Plan | None:
        """All tiles exactly, if everything is drawn and that costs less than any loss; else None."""
        if self._mask is None or not self._mask.all():
            return None
        chosen = []
        for number in range(len(self._places)):
            if (exact := self._exact(number, level)) is None:
                return None
            chosen.append(exact)
        return Plan(self, level, chosen)

    def _exact(self, number: int, level: int) -> Choice | None:
        """A tile that is drawn everywhere as lossless WebP, unless a lossy one costs clearly less."""
        exact = self._tile(number).lossless()
        cost = EXACT * exact.cost(level) - EXACT_BITS
        if cost <= 0 or cost <= self._tile(number).lossy(level, cost).cost(level):
            return exact
        return None

    def plan(self, level: int) -> Plan:
        """What costs least at a level, of a picture of which something is drawn."""
        assert self._mask is not None
        chosen: dict[int, Choice] = {}
        for number, place in enumerate(self._places):
            if self._mask[place].all():
                if (exact := self._exact(number, level)) is not None:
                    chosen[number] = exact
            elif not self._mask[place].any():
                chosen[number] = Choice(0, 0.0, mask=np.zeros(size(place), np.bool_))
        open_ = [number for number in range(len(self._places)) if number not in chosen]
        plain = mixed = None
        if open_:
            plain = self._code(self._pixels, level, True)
            for number in open_:
                if self._photographed(number, level, plain):
                    chosen[number] = Choice(0, 0.0, mask=np.zeros(size(self._places[number]), np.bool_))
            open_ = [number for number in open_ if number not in chosen]
        if any(not self._mask[self._places[number]].all() for number in open_):
            mixed = self._code(self._without(self._mask), level, True)
        for number in open_:
            assert plain is not None
            chosen[number] = self._best(number, level, plain, mixed)
        return Plan(self, level, [chosen[number] for number in range(len(self._places))], plain, mixed)

    def _photographed(self, number: int, level: int, plain: Encoded) -> bool:
        """Whether what looks drawn in a tile is no drawing: it costs more as WebP than by the networks."""
        tile = self._tile(number)
        share = float(tile.mask.mean())
        spent = min(1.0, BUSIER * share) * sum(map(len, plain.segments[number]))
        if share == 1 or tile.masked().size <= spent:
            return False
        if share < SMALL:
            return True
        decoded = self._decode(plain, self._places[number])
        error = squared_error(tile.pixels, np.where(tile.mask[..., None], decoded, tile.pixels), self._gray)
        return tile.masked().cost(level) > Choice(math.ceil(spent), error).cost(level)

    def _best(self, number: int, level: int, plain: Encoded, mixed: Encoded | None) -> Choice:
        tile, best = self._tile(number), self._plain(number, plain)
        least = best.cost(level)
        options = []
        if mixed is not None and not tile.mask.all():
            drawn = tile.masked()
            shown = np.where(tile.mask[..., None], tile.pixels, self._decode(mixed, self._places[number]))
            error = squared_error(tile.pixels, shown, self._gray)
            size_ = drawn.size + sum(map(len, mixed.segments[number]))
            options.append(replace(drawn, size=size_, error=error))
            least = min(least, options[0].cost(level))
        # A lossy file could cost a little less than text that stays exact; it is for where that is no choice.
        if least >= GAIN * best.cost(level):
            options.append(tile.lossy(level, least))
        if 8 * tile.at_most() < QUICK * least:
            options.append(tile.lossless())
        better = min(options, key=lambda choice: choice.cost(level))
        return better if better.cost(level) < GAIN * best.cost(level) else best

    def _plain(self, number: int, plain: Encoded) -> Choice:
        place = self._places[number]
        error = squared_error(self._pixels[place], self._decode(plain, place), self._gray)
        none = np.zeros(size(place), np.bool_)
        return Choice(sum(map(len, plain.segments[number])), error, mask=none)

    def follow(self, plan: Plan, level: int) -> Encoded:
        """Code the picture at a level as planned; lossy tiles at the quality that is best for the level."""
        other = level != plan.level
        chosen = [
            self._tile(number).lossy(level) if other and choice.kind == "lossy" else choice
            for number, choice in enumerate(plan.tiles)
        ]
        drawn = drawn_segments(chosen)
        networks = [choice.mask is not None for choice in chosen]
        if not any(networks):
            return Encoded(level, [[b"", b""] for _ in chosen], 0.0, 0.0, drawn, self._other_tile)
        mask = np.zeros(self._pixels.shape[:2], np.bool_)
        for place, choice in zip(self._places, chosen, strict=True):
            mask[place] = True if choice.mask is None else choice.mask
        coded = self._coded(plan, level, mask)
        if not any(drawn):
            return coded
        segments = [
            layers if networks[number] or any(networks[near] for near in self._around(number)) else [b"", b""]
            for number, layers in enumerate(coded.segments)
        ]
        return replace(coded, segments=segments, drawn=drawn)

    def _coded(self, plan: Plan, level: int, mask: Mask) -> Encoded:
        """The networks' coding of what is outside a mask: one made to compare, if that is the same."""
        made = plan.mixed if mask.any() else plan.plain
        same = not mask.any() or (self._mask is not None and np.array_equal(mask, self._mask))
        if made is not None and same and level == plan.level and not self._searches:
            return made
        return self._code(self._without(mask) if mask.any() else self._pixels, level, False)

    def _without(self, mask: Mask) -> Pixels:
        """The picture with a mask filled; the last one is kept."""
        if self._filled is None or not np.array_equal(self._filled[0], mask):
            self._filled = mask, filled(self._pixels, mask)
        return self._filled[1]

    def _around(self, number: int) -> list[int]:
        """The tiles that touch one, whose latents the synthesis mixes with its own."""
        row, column = divmod(number, self._columns)
        rows = len(self._places) // self._columns
        return [
            r * self._columns + c
            for r in range(max(row - 1, 0), min(row + 2, rows))
            for c in range(max(column - 1, 0), min(column + 2, self._columns))
        ]

    def _tile(self, number: int) -> WebpTile:
        if number not in self._tiles:
            place = self._places[number]
            mask = np.ones(size(place), np.bool_) if self._mask is None else self._mask[place]
            self._tiles[number] = WebpTile(self._pixels[place], mask, self._gray, self._slow)
        return self._tiles[number]

//! Polygons along the edges of pixels: filled again, they give the same pixels.
//!
//! A corner of a polygon is a corner of pixels: `[0, 0]` is the left upper corner of the first pixel,
//! `[width, height]` the right lower one of the last. A hole is joined to the border around it by a cut
//! of no width that is walked twice, since formats of polygons have no holes.

use std::collections::HashMap;

use crate::Regions;

/// A corner of pixels: column and row, from 0 to width and height.
pub type Corner = [u32; 2];

/// The polygons of every region, in their order: one for each connected part, closed, clockwise as it is
/// seen, in the order of the first pixels.
///
/// By the even-odd rule the centres of exactly the region's pixels are inside.
pub fn polygons(regions: &Regions) -> Vec<Vec<Vec<Corner>>> {
    let rings = rings(regions);
    rings.into_iter().map(joined).collect()
}

/// The borders of every region: around its parts clockwise, around its holes anticlockwise, in the order of
/// their first edges.
fn rings(regions: &Regions) -> Vec<Vec<Vec<Corner>>> {
    let map = Map(regions);
    let mut seen = vec![false; regions.of_pixel().len()];
    let mut rings = vec![Vec::new(); regions.categories().len()];
    for (pixel, &region) in regions.of_pixel().iter().enumerate() {
        let (x, y) = (pixel % regions.width(), pixel / regions.width());
        let is_top = region != 0 && map.region(x as i64, y as i64 - 1) != region;
        if is_top && !seen[pixel] {
            let ring = map.walk([x as i64, y as i64], region, &mut seen);
            rings[region as usize - 1].push(ring);
        }
    }
    rings
}

/// A step to the right, down, left or up.
type Direction = [i64; 2];

const RIGHT: Direction = [1, 0];

fn turned_left([x, y]: Direction) -> Direction {
    [y, -x]
}

fn turned_right([x, y]: Direction) -> Direction {
    [-y, x]
}

struct Map<'a>(&'a Regions);

impl Map<'_> {
    /// The region of a pixel; none outside of the mask.
    fn region(&self, x: i64, y: i64) -> u32 {
        let side = |at: i64, length: usize| usize::try_from(at).ok().filter(|at| *at < length);
        let (width, height) = (self.0.width(), self.0.height());
        match (side(x, width), side(y, height)) {
            (Some(x), Some(y)) => self.0.of_pixel()[y * width + x],
            _ => 0,
        }
    }

    /// The pixel ahead of a corner, on the side to which `aside` points.
    fn ahead(&self, [x, y]: [i64; 2], direction: Direction, aside: Direction) -> u32 {
        let half = |axis: usize| (direction[axis] + aside[axis] - 1) / 2;
        self.region(x + half(0), y + half(1))
    }

    /// A border from the upper edge of a pixel on, the region to its right; the upper edges on the way are
    /// `seen`.
    ///
    /// Where two pixels of the region touch at a corner it crosses to the other one.
    fn walk(&self, start: [i64; 2], region: u32, seen: &mut [bool]) -> Vec<Corner> {
        let (mut at, mut direction) = (start, RIGHT);
        let mut ring = Vec::new();
        loop {
            if direction == RIGHT {
                seen[at[1] as usize * self.0.width() + at[0] as usize] = true;
            }
            ring.push(at.map(|side| side as u32));
            at = [at[0] + direction[0], at[1] + direction[1]];
            direction = self.next(at, direction, region);
            if at == start && direction == RIGHT {
                return ring;
            }
        }
    }

    fn next(&self, at: [i64; 2], direction: Direction, region: u32) -> Direction {
        let [left, right] = [turned_left(direction), turned_right(direction)];
        if self.ahead(at, direction, left) == region {
            left
        } else if self.ahead(at, direction, right) == region {
            direction
        } else {
            right
        }
    }
}

/// The polygons of a region's borders, its holes joined.
fn joined(rings: Vec<Vec<Corner>>) -> Vec<Vec<Corner>> {
    let (outer, mut holes): (Vec<_>, Vec<_>) =
        rings.into_iter().partition(|ring| is_clockwise(ring));
    let mut cycles = Cycles::default();
    let starts: Vec<usize> = outer.iter().map(|ring| cycles.insert(ring)).collect();
    for hole in &mut holes {
        let top = (0..hole.len()).min_by_key(|&at| [hole[at][1], hole[at][0]]);
        hole.rotate_left(top.expect("a border has edges"));
    }
    // What is above a hole is joined before it, so that the cut meets it.
    holes.sort_unstable_by_key(|hole| [hole[0][1], hole[0][0]]);
    for hole in &holes {
        cycles.join(hole);
    }
    starts
        .into_iter()
        .map(|start| cycles.polygon(start))
        .collect()
}

/// By the sign of its area; `y` points down.
fn is_clockwise(ring: &[Corner]) -> bool {
    let next = ring.iter().cycle().skip(1);
    let twice: i64 = ring
        .iter()
        .zip(next)
        .map(|(a, b)| i64::from(a[0]) * i64::from(b[1]) - i64::from(b[0]) * i64::from(a[1]))
        .sum();
    twice > 0
}

/// Closed walks as linked lists, and a place on one of them for each of their corners.
#[derive(Default)]
struct Cycles {
    corners: Vec<Corner>,
    next: Vec<usize>,
    at: HashMap<Corner, usize>,
}

impl Cycles {
    /// A walk of its own; its first place.
    fn insert(&mut self, ring: &[Corner]) -> usize {
        let first = self.corners.len();
        for &corner in ring {
            self.push(corner);
        }
        let last = self.corners.len() - 1;
        self.next[last] = first;
        first
    }

    /// Adds a place whose successor is the next to be added.
    fn push(&mut self, corner: Corner) {
        let place = self.corners.len();
        self.corners.push(corner);
        self.next.push(place + 1);
        self.at.entry(corner).or_insert(place);
    }

    /// Makes a hole, its topmost corner first, a detour of the walk above it: up along the column to the
    /// first corner of a walk, which there is, as the region ends somewhere.
    fn join(&mut self, hole: &[Corner]) {
        let [x, top] = hole[0];
        let above = (0..=top).rev().find_map(|y| self.at.get(&[x, y]));
        let from = *above.expect("a hole lies in a region");
        let (corner, behind) = (self.corners[from], self.next[from]);
        let first = self.insert(hole);
        let last = self.corners.len() - 1;
        self.next[from] = first;
        self.next[last] = last + 1;
        self.push(hole[0]);
        self.push(corner);
        self.next[last + 2] = behind;
    }

    /// The corners of a walk at which it turns.
    fn polygon(&self, start: usize) -> Vec<Corner> {
        let mut walk = vec![self.corners[start]];
        let mut place = self.next[start];
        while place != start {
            let corner = self.corners[place];
            if walk.last() != Some(&corner) {
                walk.push(corner);
            }
            place = self.next[place];
        }
        let count = walk.len();
        let turns = |at: &usize| {
            let [before, here, after] = [at + count - 1, *at, at + 1].map(|at| walk[at % count]);
            step(before, here) != step(here, after)
        };
        (0..count).filter(turns).map(|at| walk[at]).collect()
    }
}

/// The direction from one corner to another in its row or column.
fn step(from: Corner, to: Corner) -> Direction {
    [0, 1].map(|axis| (i64::from(to[axis]) - i64::from(from[axis])).signum())
}

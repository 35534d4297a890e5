//! How maps are laid out so that each weight meets a row without gaps.
//!
//! With stride s, the rows and columns of the padded input that a weight meets are s apart: so the input is
//! laid out as s² planes, one for each remainder of row and column. All rows of a plane are as long as
//! a row of the output and what the kernel reaches beyond it. In such a plane, what a weight meets
//! at all places of the output is one stretch of memory, from a start that the weight has: places of
//! the output are counted in rows of this length, and what lies behind the end of a row is left out.

use super::super::convolution::{Convolution, Met, met};

/// The planes of a map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes<'a> {
    pub(super) of: &'a Convolution,
    /// Of a plane.
    pub(super) rows: usize,
    /// Numbers of a row.
    pub(super) pitch: usize,
}

impl<'a> Planes<'a> {
    pub(super) fn new(of: &'a Convolution) -> Self {
        let side = |axis: usize| {
            let reach = of.dilation[axis] * (of.kernel[axis] - 1);
            of.output[2 + axis] + reach / of.stride[axis]
        };
        Self {
            of,
            rows: side(0),
            pitch: side(1),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.of.stride[0] * self.of.stride[1]
    }

    /// Numbers of a plane.
    pub(super) fn size(&self) -> usize {
        self.rows * self.pitch
    }

    /// Places of the output, in rows as long as a plane's.
    pub(super) fn positions(&self) -> usize {
        self.of.output[2] * self.pitch
    }

    /// The furthest start in a plane.
    pub(super) fn reach(&self) -> usize {
        let [_, _, height, width] = self.of.output;
        (self.rows - height) * self.pitch + self.pitch - width
    }

    /// The plane that a weight meets, and where in it the weight starts.
    pub(super) fn start(&self, tap: usize) -> (usize, usize) {
        let of = self.of;
        let [y, x] = [
            tap / of.kernel[1] * of.dilation[0],
            tap % of.kernel[1] * of.dilation[1],
        ];
        let plane = y % of.stride[0] * of.stride[1] + x % of.stride[1];
        (plane, y / of.stride[0] * self.pitch + x / of.stride[1])
    }

    /// Lays out a map of the input; padding is left as it was.
    pub(super) fn lay_out(&self, map: &[f32], planes: &mut [f32]) {
        for (index, plane) in planes.chunks_exact_mut(self.size()).enumerate() {
            let [rows, _] = self.met(index);
            let plane = &mut plane[rows.place * self.pitch..];
            self.rows(index, |to, from, count| {
                let (to, row) = (&mut plane[to..][..count], &map[from..]);
                match self.of.stride[1] {
                    1 => to.copy_from_slice(&row[..count]),
                    stride => {
                        let row = row.iter().step_by(stride);
                        to.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
                    }
                }
            });
        }
    }

    /// The way back, of the rows of one plane that meet the map.
    pub(super) fn take_back(&self, index: usize, rows: &[f32], map: &mut [f32]) {
        self.rows(index, |from, to, count| {
            let row = map[to..].iter_mut().step_by(self.of.stride[1]);
            row.zip(&rows[from..][..count])
                .for_each(|(to, from)| *to = *from);
        });
    }

    /// Calls `each` for every row of a plane that meets the map: with its first number that does, counted
    /// from the first such row, the first in the map, and how many.
    fn rows(&self, plane: usize, mut each: impl FnMut(usize, usize, usize)) {
        let [rows, columns] = self.met(plane);
        if columns.count == 0 {
            return;
        }
        for row in 0..rows.count {
            let in_map = (rows.value + row * self.of.stride[0]) * self.of.input[3];
            each(
                row * self.pitch + columns.place,
                in_map + columns.value,
                columns.count,
            );
        }
    }

    /// Which rows and columns of a plane meet those of the map.
    pub(super) fn met(&self, plane: usize) -> [Met; 2] {
        let of = self.of;
        let along = |axis: usize, offset: usize, places: usize| {
            met(
                offset,
                of.padding[axis],
                of.stride[axis],
                of.input[2 + axis],
                places,
            )
        };
        [
            along(0, plane / of.stride[1], self.rows),
            along(1, plane % of.stride[1], self.pitch),
        ]
    }

    /// Lays out a map of the output, from the first place on; what is between rows is left as it was.
    pub(super) fn lay_out_places(&self, map: &[f32], to: &mut [f32]) {
        let width = self.of.output[3];
        for (row, to) in map.chunks_exact(width).zip(to.chunks_mut(self.pitch)) {
            to[..width].copy_from_slice(row);
        }
    }

    /// The way back.
    pub(super) fn take_places(&self, from: &[f32], map: &mut [f32]) {
        let width = self.of.output[3];
        for (row, from) in map.chunks_exact_mut(width).zip(from.chunks(self.pitch)) {
            row.copy_from_slice(&from[..width]);
        }
    }
}

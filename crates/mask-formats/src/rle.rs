//! Run lengths as COCO has them: down the columns, background first.
//!
//! Source: `maskApi.c` of the COCO API (<https://github.com/cocodataset/cocoapi>) defines both forms.

use crate::Regions;

/// A region as run lengths, and what COCO tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionRuns {
    /// Lengths of background and region in turns, column by column, background first; their sum is the
    /// number of pixels.
    pub counts: Vec<u32>,
    /// Pixels of the region.
    pub area_px: u64,
    /// Left, top, width and height of its box, in pixels.
    pub bbox_px: [u32; 4],
}

/// The runs of every region, in their order.
///
/// # Panics
///
/// For a mask of 2³² pixels or more.
pub fn column_runs(regions: &Regions) -> Vec<RegionRuns> {
    let (width, height) = (regions.width(), regions.height());
    let pixels = u32::try_from(regions.of_pixel().len()).expect("a mask of fewer than 2^32 pixels");
    let mut open: Vec<Runs> = vec![Runs::default(); regions.categories().len()];
    for x in 0..width {
        for y in 0..height {
            let region = regions.of_pixel()[y * width + x];
            if region != 0 {
                let at = (x * height + y) as u32;
                open[region as usize - 1].add(at, [x as u32, y as u32]);
            }
        }
    }
    let finished = open.into_iter().map(|runs| runs.finish(pixels));
    finished.collect()
}

/// Runs up to some pixel.
#[derive(Clone, Debug, Default)]
struct Runs {
    counts: Vec<u32>,
    /// Behind the last pixel of the region.
    end: u32,
    area_px: u64,
    /// First and last column and row.
    columns: [u32; 2],
    rows: [u32; 2],
}

impl Runs {
    fn add(&mut self, at: u32, [x, y]: [u32; 2]) {
        match self.counts.last_mut() {
            Some(last) if self.end == at => *last += 1,
            _ => self.counts.extend([at - self.end, 1]),
        }
        if self.area_px == 0 {
            (self.columns, self.rows) = ([x, x], [y, y]);
        }
        self.columns[1] = x;
        self.rows = [self.rows[0].min(y), self.rows[1].max(y)];
        self.end = at + 1;
        self.area_px += 1;
    }

    fn finish(mut self, pixels: u32) -> RegionRuns {
        if self.end < pixels {
            self.counts.push(pixels - self.end);
        }
        let ([left, right], [top, bottom]) = (self.columns, self.rows);
        RegionRuns {
            counts: self.counts,
            area_px: self.area_px,
            bbox_px: [left, top, right - left + 1, bottom - top + 1],
        }
    }
}

/// Counts as COCO's string: each, from the fourth on as the difference to the one two before it, in
/// groups of five bits, the lowest first, with a sixth that says whether more follow, from `0` on in
/// ASCII.
pub fn compressed(counts: &[u32]) -> String {
    let mut text = String::new();
    for (at, &count) in counts.iter().enumerate() {
        let before = if at > 2 { counts[at - 2] } else { 0 };
        push_number(&mut text, i64::from(count) - i64::from(before));
    }
    text
}

fn push_number(text: &mut String, mut number: i64) {
    loop {
        let group = (number & 0x1f) as u8;
        number >>= 5;
        // The sign is the highest bit of the last group.
        let is_last = number == if group & 0x10 == 0 { 0 } else { -1 };
        let more = if is_last { 0 } else { 0x20 };
        text.push(char::from(b'0' + (group | more)));
        if is_last {
            break;
        }
    }
}

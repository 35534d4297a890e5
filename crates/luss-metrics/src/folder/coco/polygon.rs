//! Polygons as the COCO API fills them.
//!
//! Source: `rleFrPoly` in `maskApi.c` (<https://github.com/cocodataset/cocoapi>): the border is drawn on a
//! grid five times finer, and a column changes sides where the border crosses its middle.

/// Fine cells of a pixel.
const FINE: f64 = 5.0;

/// The farthest that a corner may lie from the origin, in pixels.
const FARTHEST_PX: f64 = 1e6;

/// Calls with the first pixel of each run inside of a polygon, counted down the columns, and the one
/// behind it.
///
/// `corners` are `x, y` in turns, in pixels; `size` is width and height.
pub(super) fn for_each_run(
    corners: &[f64],
    (width, height): (usize, usize),
    mut each: impl FnMut(usize, usize),
) -> Result<(), String> {
    let corners = fine_corners(corners)?;
    let mut border = Border {
        size: (width as f64, height as f64),
        height,
        last: None,
        crossings: Vec::new(),
    };
    let next = corners.iter().cycle().skip(1);
    for (&from, &to) in corners.iter().zip(next) {
        border.draw(from, to);
    }
    let mut crossings = border.crossings;
    crossings.sort_unstable();
    if crossings.len() % 2 == 1 {
        crossings.push(width * height);
    }
    let runs = crossings.as_chunks::<2>().0;
    runs.iter().for_each(|&[start, end]| each(start, end));
    Ok(())
}

/// Corners on the fine grid.
fn fine_corners(corners: &[f64]) -> Result<Vec<[i64; 2]>, String> {
    if corners.len() < 6 || corners.len() % 2 == 1 {
        let n = corners.len();
        return Err(format!(
            "a polygon of {n} numbers; it has three corners at least"
        ));
    }
    if !corners.iter().all(|side| side.abs() <= FARTHEST_PX) {
        return Err("a polygon has a corner far outside".into());
    }
    let fine = |side: f64| (FINE * side + 0.5) as i64;
    let corners = corners.as_chunks::<2>().0;
    Ok(corners.iter().map(|corner| corner.map(fine)).collect())
}

/// A border that is being drawn.
struct Border {
    size: (f64, f64),
    height: usize,
    last: Option<[i64; 2]>,
    /// Pixels, counted down the columns, from which on the other side begins.
    crossings: Vec<usize>,
}

impl Border {
    /// Draws an edge: a point for each fine column or row, whichever are more.
    fn draw(&mut self, from: [i64; 2], to: [i64; 2]) {
        let spans = [0, 1].map(|axis| (to[axis] - from[axis]).abs());
        let (along, across) = if spans[0] >= spans[1] { (0, 1) } else { (1, 0) };
        let span = spans[along];
        let is_turned = from[along] > to[along];
        let (start, end) = if is_turned { (to, from) } else { (from, to) };
        let slope = match span {
            0 => 0.0,
            span => (end[across] - start[across]) as f64 / span as f64,
        };
        for step in 0..=span {
            let step = if is_turned { span - step } else { step };
            let mut point = [0; 2];
            point[along] = start[along] + step;
            point[across] = (start[across] as f64 + slope * step as f64 + 0.5) as i64;
            self.visit(point);
        }
    }

    fn visit(&mut self, point: [i64; 2]) {
        let last = self.last.replace(point).unwrap_or(point);
        if point[0] == last[0] {
            return;
        }
        let left = if point[0] < last[0] {
            point[0]
        } else {
            point[0] - 1
        };
        let middle = |fine: i64| (fine as f64 + 0.5) / FINE - 0.5;
        let (x, y) = (middle(left), middle(point[1].min(last[1])));
        if x.fract() == 0.0 && x >= 0.0 && x <= self.size.0 - 1.0 {
            let y = y.clamp(0.0, self.size.1).ceil();
            self.crossings.push(x as usize * self.height + y as usize);
        }
    }
}

//! Overlap grid: where two views of a picture show the same thing.
//!
//! Pixel-to-pixel alignment (P2P; PASS, <https://arxiv.org/abs/2106.03149>, "pixel-to-pixel
//! alignment") compares features of two views at the same places of the picture. The grid
//! spans the intersection of both rectangles and is expressed in the coordinates of each view.

use super::crop::CropFrame;

/// Grid points along each axis.
pub const OVERLAP_GRID: usize = 7;

/// Coordinate of all points when the views do not overlap: far enough outside to sample zeros.
const NOWHERE: f32 = -2.0;

/// The grid over the overlap of two views, in the coordinates of the first and of the second.
///
/// Point `j * 7 + i` is `[x, y]` of row `j` and column `i`; both grids name the same place of the
/// picture there, whether a view is mirrored or not. -1 is the left or upper border of a view,
/// 1 the right or lower one. Views that do not overlap, or only touch, get -2 everywhere.
pub fn overlap_grids(q: &CropFrame, k: &CropFrame) -> [Vec<[f32; 2]>; 2] {
    grids_of_side(q, k, OVERLAP_GRID)
}

fn grids_of_side(q: &CropFrame, k: &CropFrame, side: usize) -> [Vec<[f32; 2]>; 2] {
    let across = overlap([q.left, q.width], [k.left, k.width]);
    let down = overlap([q.top, q.height], [k.top, k.height]);
    let (Some(across), Some(down)) = (across, down) else {
        return [(); 2].map(|()| vec![[NOWHERE; 2]; side * side]);
    };
    [q, k].map(|frame| {
        let x = coordinates(across, [frame.left, frame.width], frame.flip, side);
        let y = coordinates(down, [frame.top, frame.height], false, side);
        y.iter()
            .flat_map(|&y| x.iter().map(move |&x| [x, y]))
            .collect()
    })
}

/// Start and length of what two intervals `[start, length]` share, if anything.
fn overlap([a, a_length]: [u32; 2], [b, b_length]: [u32; 2]) -> Option<[f64; 2]> {
    let start = a.max(b);
    let end = (a + a_length).min(b + b_length);
    (start < end).then(|| [f64::from(start), f64::from(end - start)])
}

/// Even places from start to end of the overlap, in the coordinates of a view.
fn coordinates(
    [start, length]: [f64; 2],
    [view_start, view_length]: [u32; 2],
    flip: bool,
    side: usize,
) -> Vec<f32> {
    let first = (start - f64::from(view_start)) / f64::from(view_length);
    let step = length / f64::from(view_length) / (side - 1) as f64;
    let places = (0..side).map(|index| first + index as f64 * step);
    let places = places.map(|place| if flip { 1.0 - place } else { place });
    places.map(|place| (2.0 * place - 1.0) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use golden::Arrays;

    fn frame(left: u32, top: u32, width: u32, height: u32, flip: bool) -> CropFrame {
        CropFrame {
            left,
            top,
            width,
            height,
            flip,
        }
    }

    fn golden_frames(golden: &mut Arrays, name: &str) -> Vec<CropFrame> {
        let rows = golden
            .array::<i64, ndarray::Ix2>(name)
            .mapv(|number| number as u32);
        rows.outer_iter()
            .map(|r| frame(r[0], r[1], r[2], r[3], r[4] == 1))
            .collect()
    }

    #[track_caller]
    fn check(actual: &[[f32; 2]], expected: impl IntoIterator<Item = f64>, tolerance: f64) {
        let expected = expected.into_iter().collect::<Vec<_>>();
        assert_eq!(actual.len() * 2, expected.len());
        for (actual, expected) in actual.as_flattened().iter().zip(expected) {
            assert!(
                (f64::from(*actual) - expected).abs() <= tolerance,
                "{actual} {expected}"
            );
        }
    }

    #[test]
    fn grids_equal_the_reference() {
        let mut golden = golden::open("overlap_grid.npz");
        let q = golden_frames(&mut golden, "rect_q");
        let k = golden_frames(&mut golden, "rect_k");
        let exact = ["q", "k"]
            .map(|view| golden.array::<f64, ndarray::Ix4>(&format!("grid_{view}_f64_own")));
        let single =
            ["q", "k"].map(|view| golden.array::<f32, ndarray::Ix4>(&format!("grid_{view}_f32")));
        for (case, (q, k)) in q.iter().zip(&k).enumerate() {
            for (view, grid) in overlap_grids(q, k).iter().enumerate() {
                // Half a unit in the last place of numbers up to 1; the reference's own f32 steps
                // are up to 9.4e-8 away from the exact numbers.
                check(
                    grid,
                    exact[view]
                        .index_axis(ndarray::Axis(0), case)
                        .iter()
                        .copied(),
                    6e-8,
                );
                let single = single[view]
                    .index_axis(ndarray::Axis(0), case)
                    .mapv(f64::from);
                check(grid, single, 1.6e-7);
            }
        }
    }

    #[test]
    fn grids_of_another_side_equal_the_reference() {
        let mut golden = golden::open("overlap_grid.npz");
        let q = golden_frames(&mut golden, "rect_q");
        let k = golden_frames(&mut golden, "rect_k");
        let expected = ["size9_q_f32", "size9_k_f32"]
            .map(|name| golden.array::<f32, ndarray::Ix4>(name).mapv(f64::from));
        for (case, (q, k)) in q.iter().zip(&k).take(3).enumerate() {
            for (view, grid) in grids_of_side(q, k, 9).iter().enumerate() {
                let expected = expected[view].index_axis(ndarray::Axis(0), case);
                check(grid, expected.iter().copied(), 1.6e-7);
            }
        }
    }

    #[test]
    fn a_hand_computed_pair_has_these_coordinates() {
        let q = frame(10, 20, 100, 80, false);
        let k = frame(60, 40, 120, 100, true);
        let [grid_q, grid_k] = overlap_grids(&q, &k);
        let q_x = [0.0, 0.166667, 0.333333, 0.5, 0.666667, 0.833333, 1.0];
        let q_y = [-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0];
        let k_x = [
            1.0, 0.861111, 0.722222, 0.583333, 0.444444, 0.305556, 0.166667,
        ];
        let k_y = [-1.0, -0.8, -0.6, -0.4, -0.2, 0.0, 0.2];
        let rows_first = |x: [f64; 7], y: [f64; 7]| {
            y.into_iter()
                .flat_map(move |y| x.into_iter().flat_map(move |x| [x, y]))
        };
        // Given to six decimals.
        check(&grid_q, rows_first(q_x, q_y), 1e-6);
        check(&grid_k, rows_first(k_x, k_y), 1e-6);
    }

    #[test]
    fn views_that_only_touch_do_not_overlap() {
        let grids = overlap_grids(&frame(0, 0, 50, 50, false), &frame(50, 0, 50, 50, false));
        assert!(grids.iter().all(|grid| *grid == vec![[-2.0; 2]; 49]));
    }

    #[test]
    fn both_grids_name_the_same_place_of_the_picture() {
        let frames = [frame(12, 3, 33, 37, true), frame(5, 11, 50, 20, false)];
        let grids = overlap_grids(&frames[0], &frames[1]);
        let place = |view: usize, point: usize| {
            let CropFrame {
                left,
                top,
                width,
                height,
                flip,
            } = frames[view];
            let [x, y] = grids[view][point].map(|c| (f64::from(c) + 1.0) / 2.0);
            let x = if flip { 1.0 - x } else { x };
            [
                f64::from(left) + x * f64::from(width),
                f64::from(top) + y * f64::from(height),
            ]
        };
        for point in 0..49 {
            let [[ax, ay], [bx, by]] = [place(0, point), place(1, point)];
            assert!(
                (ax - bx).abs() < 1e-5 && (ay - by).abs() < 1e-5,
                "point {point}"
            );
        }
    }

    #[test]
    fn identical_views_span_the_whole_grid() {
        let view = frame(3, 4, 20, 10, false);
        let [q, k] = overlap_grids(&view, &view);
        assert_eq!(q, k);
        assert_eq!((q[0], q[6], q[48]), ([-1.0, -1.0], [1.0, -1.0], [1.0, 1.0]));
    }
}

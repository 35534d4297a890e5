//! Resizing of label maps and attention maps with PyTorch's rules, in its `f32` arithmetic.

/// Resizes a row-major map to the nearest source pixel: `floor(target * source / target size)`.
///
/// This is PyTorch's `nearest` rule; Pillow's differs by half a pixel.
///
/// # Shapes
///
/// - `map`: `from = [width, height]`; output: `to = [width, height]`
pub(crate) fn nearest<T: Copy>(map: &[T], from: [usize; 2], to: [usize; 2]) -> Vec<T> {
    nearest_at(map, from, to, [&whole(to[0]), &whole(to[1])])
}

/// Resizes a row-major map bilinearly: half-pixel centres (`align_corners = false`), edges
/// repeated, no antialiasing.
///
/// # Shapes
///
/// - `map`: `from = [width, height]`; output: `to = [width, height]`
pub(crate) fn bilinear(map: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    bilinear_at(map, from, to, [&whole(to[0]), &whole(to[1])])
}

fn whole(length: usize) -> Vec<usize> {
    (0..length).collect()
}

/// Some columns and rows of what [`nearest`] gives.
pub(crate) fn nearest_at<T: Copy>(
    map: &[T],
    from: [usize; 2],
    to: [usize; 2],
    [columns, rows]: [&[usize]; 2],
) -> Vec<T> {
    assert_fits(map, from);
    let columns = nearest_sources(from[0], to[0], columns);
    let mut resized = Vec::with_capacity(columns.len() * rows.len());
    for row in nearest_sources(from[1], to[1], rows) {
        let source = &map[row * from[0]..(row + 1) * from[0]];
        resized.extend(columns.iter().map(|&column| source[column]));
    }
    resized
}

/// Some columns and rows of what [`bilinear`] gives.
pub(crate) fn bilinear_at(
    map: &[f32],
    from: [usize; 2],
    to: [usize; 2],
    [columns, rows]: [&[usize]; 2],
) -> Vec<f32> {
    assert_fits(map, from);
    let columns = bilinear_taps(from[0], to[0], columns);
    let mut resized = Vec::with_capacity(columns.len() * rows.len());
    for row in bilinear_taps(from[1], to[1], rows) {
        let upper = &map[row.first * from[0]..(row.first + 1) * from[0]];
        let lower = &map[row.second * from[0]..(row.second + 1) * from[0]];
        resized.extend(columns.iter().map(|column| {
            (1.0 - row.weight) * column.blend(upper) + row.weight * column.blend(lower)
        }));
    }
    resized
}

fn assert_fits<T>(map: &[T], from: [usize; 2]) {
    assert_eq!(
        map.len(),
        from[0] * from[1],
        "one value for each of {from:?} pixels"
    );
}

fn nearest_sources(from: usize, to: usize, targets: &[usize]) -> Vec<usize> {
    let scale = from as f32 / to as f32;
    let source = |&target: &usize| ((target as f32 * scale) as usize).min(from - 1);
    targets.iter().map(source).collect()
}

/// Two neighbouring source pixels; `weight` belongs to the second.
struct Tap {
    first: usize,
    second: usize,
    weight: f32,
}

impl Tap {
    fn blend(&self, line: &[f32]) -> f32 {
        (1.0 - self.weight) * line[self.first] + self.weight * line[self.second]
    }
}

fn bilinear_taps(from: usize, to: usize, targets: &[usize]) -> Vec<Tap> {
    let scale = from as f32 / to as f32;
    let tap = |&target: &usize| {
        let source = (scale * (target as f32 + 0.5) - 0.5).max(0.0);
        let first = (source as usize).min(from - 1);
        let weight = (source - first as f32).min(1.0);
        Tap {
            first,
            second: (first + 1).min(from - 1),
            weight,
        }
    };
    targets.iter().map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_size_changes_nothing() {
        let map: Vec<f32> = (0..15).map(|i| (i * i) as f32 * 0.37).collect();
        assert_eq!(nearest(&map, [3, 5], [3, 5]), map);
        assert_eq!(bilinear(&map, [3, 5], [3, 5]), map);
    }

    #[test]
    fn nearest_takes_the_floor() {
        assert_eq!(
            nearest(&[1, 2, 3], [3, 1], [7, 2]),
            [[1, 1, 1, 2, 2, 3, 3]; 2].concat()
        );
        assert_eq!(nearest(&[1, 2, 3, 4, 5], [5, 1], [2, 1]), [1, 3]);
        assert_eq!(nearest(&[1, 2, 3, 4, 5], [1, 5], [1, 2]), [1, 3]);
    }

    #[test]
    fn bilinear_repeats_the_edges_and_blends_between_centres() {
        assert_eq!(
            bilinear(&[0.0, 8.0], [2, 1], [8, 1]),
            [0.0, 0.0, 1.0, 3.0, 5.0, 7.0, 8.0, 8.0]
        );
        assert_eq!(bilinear(&[0.0, 8.0], [1, 2], [1, 4]), [0.0, 2.0, 6.0, 8.0]);
        assert_eq!(bilinear(&[5.0], [1, 1], [3, 2]), [5.0; 6]);
    }
}

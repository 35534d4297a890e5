//! Connected parts of a mask.

use ndarray::Array2;

use super::Object;

/// A cell, `(row, column)`.
pub type Cell = (usize, usize);

/// The connected parts of a mask, the largest first, of equal ones the one whose first cell comes
/// first. Cells are connected to their four neighbours.
pub fn components(mask: &Array2<bool>) -> Vec<Vec<Cell>> {
    let mut open = mask.clone();
    let starts = mask.indexed_iter().filter(|&(_, &inside)| inside);
    let mut parts: Vec<Vec<Cell>> = starts
        .map(|(cell, _)| take_part(&mut open, cell))
        .filter(|part| !part.is_empty())
        .collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts
}

/// The largest connected parts of the cells above a threshold as objects, at most so many, whose
/// scores are what exceeds it. Parts behind the first have at least `least_share` of the cells.
pub(super) fn parts_above(
    score: Array2<f64>,
    threshold: f64,
    objects: usize,
    least_share: f64,
) -> Vec<Object> {
    let above = score - threshold;
    let least = least_share * above.len() as f64;
    let parts = components(&above.mapv(|score| score > 0.0)).into_iter();
    let large = parts.enumerate();
    let large = large.filter(|(at, part)| *at == 0 || part.len() as f64 >= least);
    let objects = large.take(objects);
    objects.map(|(_, part)| only(&above, &part)).collect()
}

/// The connected part of a mask that holds a cell; empty where the cell is outside of the mask.
pub(super) fn component_of(mask: &Array2<bool>, cell: Cell) -> Vec<Cell> {
    take_part(&mut mask.clone(), cell)
}

/// An object of these cells: the score is their own there, positive or not, and negative elsewhere.
pub(super) fn only(score: &Array2<f64>, part: &[Cell]) -> Object {
    let mut of_part = score.mapv(|score| -score.abs() as f32);
    for &cell in part {
        of_part[cell] = score[cell] as f32;
    }
    Object { score: of_part }
}

/// Removes a connected part from `open` and returns it.
fn take_part(open: &mut Array2<bool>, cell: Cell) -> Vec<Cell> {
    let mut part = Vec::new();
    let mut waiting = vec![cell];
    while let Some(cell) = waiting.pop() {
        if std::mem::take(&mut open[cell]) {
            part.push(cell);
            waiting.extend(neighbours(cell, open.dim()));
        }
    }
    part
}

fn neighbours((y, x): Cell, (height, width): (usize, usize)) -> impl Iterator<Item = Cell> {
    let steps = [
        (y.wrapping_sub(1), x),
        (y, x.wrapping_sub(1)),
        (y, x + 1),
        (y + 1, x),
    ];
    let inside = move |&(y, x): &Cell| y < height && x < width;
    steps.into_iter().filter(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn parts_touch_at_sides_and_the_largest_comes_first() {
        let mask = array![
            [true, false, true, true],
            [false, true, false, true],
            [false, true, false, true],
        ];
        let parts = components(&mask);
        let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
        assert_eq!(sizes, [4, 2, 1]);
        assert_eq!(component_of(&mask, (2, 1)).len(), 2);
        assert!(component_of(&mask, (2, 0)).is_empty());
    }

    #[test]
    fn equal_parts_stay_in_the_order_of_their_first_cells() {
        let mask = array![[false, true], [true, false]];
        assert_eq!(components(&mask), [[(0, 1)], [(1, 0)]]);
    }

    #[test]
    fn objects_behind_the_first_have_their_share_of_the_cells() {
        let sizes = |objects, least_share| -> Vec<usize> {
            let found = parts_above(array![[1.0, 1.0, 0.0, 1.0]], 0.5, objects, least_share);
            let size = |object: &Object| object.score.iter().filter(|&&score| score > 0.0).count();
            found.iter().map(size).collect()
        };
        assert_eq!(sizes(9, 0.0), [2, 1]);
        assert_eq!(sizes(9, 0.25), [2, 1]);
        assert_eq!(sizes(9, 0.3), [2]);
        assert_eq!(sizes(9, 1.0), [2], "the first, whatever its share");
        assert_eq!(sizes(1, 0.0), [2]);
    }

    #[test]
    fn an_object_is_positive_in_its_part_alone() {
        let score = array![[0.5, -0.25, 2.0]];
        let object = only(&score, &[(0, 2)]);
        assert_eq!(object.score, array![[-0.5, -0.25, 2.0]]);
    }
}

//! Decoders that share nothing with the code under test.

/// Whether each pixel, row by row, is inside of run lengths down the columns.
pub(crate) fn from_counts(counts: &[u32], width: usize, height: usize) -> Vec<bool> {
    let turns = counts.iter().enumerate();
    let columns: Vec<bool> = turns
        .flat_map(|(turn, &count)| std::iter::repeat_n(turn % 2 == 1, count as usize))
        .collect();
    assert_eq!(columns.len(), width * height);
    let pixel = |at: usize| columns[at % width * height + at / width];
    (0..width * height).map(pixel).collect()
}

/// Counts from COCO's string.
pub(crate) fn counts_of(text: &str) -> Vec<u32> {
    let mut counts: Vec<i64> = Vec::new();
    let mut bytes = text.bytes();
    while let Some(first) = bytes.next() {
        let (mut value, mut bits, mut byte) = (0_i64, 0, first);
        loop {
            let group = i64::from(byte) - 48;
            value += (group % 32) << bits;
            bits += 5;
            if group < 32 {
                if group >= 16 {
                    value -= 1 << bits;
                }
                break;
            }
            byte = bytes.next().expect("a number ends");
        }
        if counts.len() > 2 {
            value += counts[counts.len() - 2];
        }
        counts.push(value);
    }
    counts
        .into_iter()
        .map(|count| u32::try_from(count).unwrap())
        .collect()
}

/// Whether the centre of each pixel is inside of polygons by the even-odd rule.
pub(crate) fn from_polygons(polygons: &[Vec<[f64; 2]>], width: usize, height: usize) -> Vec<bool> {
    let inside = |at: usize| {
        let centre = [(at % width) as f64 + 0.5, (at / width) as f64 + 0.5];
        polygons.iter().any(|polygon| is_inside(polygon, centre))
    };
    (0..width * height).map(inside).collect()
}

/// Counts the edges that a ray to the left crosses.
fn is_inside(polygon: &[[f64; 2]], [x, y]: [f64; 2]) -> bool {
    let next = polygon.iter().cycle().skip(1);
    let crossed = |(a, b): &(&[f64; 2], &[f64; 2])| {
        let spans = (a[1] > y) != (b[1] > y);
        spans && a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]) < x
    };
    polygon.iter().zip(next).filter(crossed).count() % 2 == 1
}

/// The words of a stream of rle-pack.
pub(crate) fn words_of(stream: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = stream
        .iter()
        .flat_map(|byte| (0..8).map(move |at| byte >> (7 - at) & 1))
        .collect();
    let mut at = 0;
    let mut read = |count: usize| {
        let value = bits[at..at + count]
            .iter()
            .fold(0_usize, |sum, &bit| 2 * sum + usize::from(bit));
        at += count;
        value
    };
    let (count, word) = (read(32), 1 + read(5));
    let sizes: Vec<usize> = (0..4).map(|_| 1 + read(4)).collect();
    let mut words = Vec::new();
    while words.len() < count {
        let is_run = read(1) == 1;
        let choice = read(2);
        let length = 1 + read(sizes[choice]);
        if is_run {
            words.extend(vec![read(word) as u8; length]);
        } else {
            (0..length).for_each(|_| words.push(read(word) as u8));
        }
    }
    words
}

//! Run lengths: down the columns, background first.
//!
//! Source: `maskApi.c` of the COCO API (<https://github.com/cocodataset/cocoapi>).

use super::Counts;

/// Calls with the first pixel of each run of foreground, counted down the columns, and the one behind
/// it. The runs must cover `pixels` pixels.
pub(super) fn for_each_run(
    counts: &Counts,
    pixels: usize,
    mut each: impl FnMut(usize, usize),
) -> Result<(), String> {
    let unpacked;
    let counts = match counts {
        Counts::Plain(counts) => counts,
        Counts::Compressed(text) => {
            unpacked = unpack(text.as_bytes())?;
            &unpacked
        }
    };
    let covered: u64 = counts.iter().map(|&count| u64::from(count)).sum();
    if covered != pixels as u64 {
        return Err(format!("its runs cover {covered} of {pixels} pixels"));
    }
    let mut start = 0;
    for (at, &count) in counts.iter().enumerate() {
        let end = start + count as usize;
        if at % 2 == 1 {
            each(start, end);
        }
        start = end;
    }
    Ok(())
}

/// The counts of a compressed text: groups of five bits, the lowest first, from `0` on in ASCII; a
/// sixth bit says that more follow, and from the fourth count on each is the difference to the one two
/// before it.
fn unpack(text: &[u8]) -> Result<Vec<u32>, String> {
    let mut counts: Vec<u32> = Vec::new();
    let (mut number, mut shift) = (0i64, 0);
    for byte in text {
        let group = byte.wrapping_sub(b'0');
        if group >= 64 || shift > 30 {
            return Err("its compressed runs are damaged".into());
        }
        number |= i64::from(group & 0x1f) << shift;
        shift += 5;
        if group & 0x20 != 0 {
            continue;
        }
        if group & 0x10 != 0 {
            number -= 1 << shift;
        }
        let before = match counts.len() {
            0..=2 => 0,
            n => counts[n - 2].into(),
        };
        let count = u32::try_from(number + before);
        counts.push(count.map_err(|_| "one of its compressed runs is negative")?);
        (number, shift) = (0, 0);
    }
    match shift {
        0 => Ok(counts),
        _ => Err("its compressed runs break off".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(counts: &Counts, pixels: usize) -> Result<Vec<(usize, usize)>, String> {
        let mut runs = Vec::new();
        for_each_run(counts, pixels, |start, end| runs.push((start, end)))?;
        Ok(runs)
    }

    /// `pycocotools.mask.encode(numpy.asfortranarray(mask))["counts"]` of two masks of 7 x 5 and 90 x 60
    /// (width x height), with the runs that NumPy counts in `mask.flatten(order="F")`.
    #[test]
    fn compressed_runs_are_those_of_pycocotools() {
        let small = Counts::Compressed("4162LNO012004".into());
        let counts = [4, 1, 6, 3, 2, 1, 1, 1, 2, 3, 2, 3, 6];
        assert_eq!(runs(&small, 35), runs(&Counts::Plain(counts.into()), 35));
        let large = concat!(
            "f9X1d0000000000000000000000000000000000000000000000000ROF::FF::FF::FF::FF::FF::F",
            "F::FF::FF::FF::FF::FF::FF::FF::FF::FF::FF::FF::FF::FF::FF::FF::FF::FF::FF::FF::F",
            "F::FF::FF::FF::d000000000000000000000000000000000000000^b0"
        );
        let runs = runs(&Counts::Compressed(large.into()), 5400).unwrap();
        let area: usize = runs.iter().map(|(start, end)| end - start).sum();
        assert_eq!(
            (runs.len(), runs[0], runs[25], area),
            (105, (310, 350), (1810, 1820), 2700)
        );
    }

    #[test]
    fn damaged_runs_are_refused() {
        for (text, part) in [("5 2", "damaged"), ("5P", "break off"), ("1O", "negative")] {
            let error = runs(&Counts::Compressed(text.into()), 9).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let plain = Counts::Plain(vec![2, 3, 5]);
        assert_eq!(runs(&plain, 10), Ok(vec![(2, 5)]));
        assert!(runs(&plain, 11).unwrap_err().contains("cover 10 of 11"));
    }
}

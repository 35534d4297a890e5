//! The numbers as tables of text.

use std::fmt;

use luss_metrics::SizeGroup;

use super::{Agreement, SplitStatistics, Statistics};

/// Numbers of categories that Table II tells apart; more are taken together.
const MOST_CATEGORIES: usize = 5;

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pictures (Table I)")?;
        writeln!(
            f,
            "  {:<12}{:>10}{:>10}{:>9}",
            "split", "pictures", "masks", "classes"
        )?;
        for split in &self.splits {
            let classes = split
                .classes
                .iter()
                .filter(|class| class.pictures > 0)
                .count();
            let (name, pictures, masks) = (split.split.name(), split.pictures, split.masks);
            writeln!(f, "  {name:<12}{pictures:>10}{masks:>10}{classes:>9}")?;
        }
        let labelled = || self.splits.iter().filter(|split| split.masks > 0);
        if labelled().count() == 0 {
            return Ok(());
        }
        writeln!(f, "\ncategories in a picture, % of the masks (Table II)")?;
        write!(f, "  {:<12}", "split")?;
        (0..MOST_CATEGORIES).try_for_each(|count| write!(f, "{count:>8}"))?;
        writeln!(f, "{:>8}{:>10}", format!("{MOST_CATEGORIES}+"), "several")?;
        labelled().try_for_each(|split| write_categories(split, f))?;
        writeln!(f, "\nsizes of objects, % of the objects (Figure 5)")?;
        write!(f, "  {:<12}", "split")?;
        SizeGroup::ALL
            .iter()
            .try_for_each(|group| write!(f, "{group:>8}"))?;
        writeln!(f, "{:>10}", "objects")?;
        labelled().try_for_each(|split| write_sizes(split, f))?;
        writeln!(
            f,
            "\nof the classes that occur: least, median, greatest (Figure 4)"
        )?;
        writeln!(f, "  {:<12}{:>22}{:>36}", "split", "pictures", "pixels")?;
        self.splits
            .iter()
            .try_for_each(|split| write_classes(split, f))
    }
}

fn write_categories(split: &SplitStatistics, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "  {:<12}", split.split.name())?;
    let counts = &split.categories_per_picture;
    for count in 0..MOST_CATEGORIES {
        write!(
            f,
            "{:>8.2}",
            percent(counts.get(count).copied().unwrap_or(0), split.masks)
        )?;
    }
    let more: u64 = counts.iter().skip(MOST_CATEGORIES).sum();
    let several = 100.0 * split.share_with_several();
    writeln!(f, "{:>8.2}{several:>10.2}", percent(more, split.masks))
}

fn write_sizes(split: &SplitStatistics, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "  {:<12}", split.split.name())?;
    let objects: u64 = split.size_groups.iter().sum();
    for &group in &split.size_groups {
        write!(f, "{:>8.2}", percent(group, objects))?;
    }
    writeln!(f, "{objects:>10}")
}

fn write_classes(split: &SplitStatistics, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let there = || split.classes.iter().filter(|class| class.pictures > 0);
    let pictures = spread(there().map(|class| class.pictures).collect());
    let pixels = match split.masks {
        0 => "-".to_owned(),
        _ => spread(there().map(|class| class.pixels).collect()),
    };
    writeln!(f, "  {:<12}{pictures:>22}{pixels:>36}", split.split.name())
}

/// Least, median and greatest.
fn spread(mut values: Vec<u64>) -> String {
    values.sort_unstable();
    match values.as_slice() {
        [] => "-".to_owned(),
        [least, ..] => {
            let (median, greatest) = (values[values.len() / 2], values[values.len() - 1]);
            format!("{least} · {median} · {greatest}")
        }
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "agreement of annotators, % (Table III): {} pictures, mean over {} pairs",
            self.pictures, self.pairs
        )?;
        write!(f, "  {:<20}{:>8}", "", "all")?;
        SizeGroup::ALL
            .iter()
            .try_for_each(|group| write!(f, "{group:>8}"))?;
        writeln!(f)?;
        for row in &self.rows {
            let name = match row.boundary_ratio {
                Some(ratio) => format!("boundary mIoU, {:.0} %", 100.0 * ratio),
                None => "mask mIoU".to_owned(),
            };
            write!(f, "  {name:<20}")?;
            for number in [row.all].into_iter().chain(row.sizes) {
                match number {
                    Some(number) => write!(f, "{:>8.1}", 100.0 * number)?,
                    None => write!(f, "{:>8}", "-")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

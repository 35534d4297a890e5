//! The classes of ImageNet-S: which of the 1000 ImageNet categories each subset keeps, and the id
//! and name each has there.
//!
//! The facts are those of the class lists published with the dataset (Gao et al., "Large-scale
//! Unsupervised Semantic Segmentation", §3): 919 categories are kept, five are merged into a
//! near-synonym and 76 have no segmentable extent. They live in `data/categories.tsv`.

use std::sync::LazyLock;

use crate::subset::Subset;

/// One of the 1000 categories of ImageNet-1k.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Category {
    /// WordNet id, `n` and eight digits: the folder name.
    pub wnid: &'static str,
    /// English name. Not a key: "crane" and "cardigan" each name two categories.
    pub name: &'static str,
    /// What ImageNet-S makes of it.
    pub fate: Fate,
}

/// What ImageNet-S makes of an ImageNet category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A class of this subset and of the larger ones.
    Kept(Subset),
    /// Its pictures count as those of the category with this WordNet id, in 919.
    MergedInto(&'static str),
    /// No class: a place, a material, or another thing without an outline.
    Dropped,
}

impl Category {
    /// Whether this is a class of `subset` of its own.
    pub fn is_kept_in(&self, subset: Subset) -> bool {
        matches!(self.fate, Fate::Kept(smallest) if smallest <= subset)
    }

    /// The WordNet id of the category that this one was merged into.
    pub fn merged_into(&self) -> Option<&'static str> {
        match self.fate {
            Fate::MergedInto(wnid) => Some(wnid),
            Fate::Kept(_) | Fate::Dropped => None,
        }
    }
}

/// A class of a subset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// `1..=C`; 1 + the rank of the WordNet id within the subset.
    pub id: u16,
    /// WordNet id: the folder name.
    pub wnid: &'static str,
    /// English name, not unique.
    pub name: &'static str,
}

/// All 1000 categories of ImageNet-1k, sorted by WordNet id.
pub fn categories() -> &'static [Category] {
    static CATEGORIES: LazyLock<Vec<Category>> =
        LazyLock::new(|| parse(include_str!("../data/categories.tsv")));
    &CATEGORIES
}

/// The classes of a subset in the order of their ids: the class with id `i` is at `i - 1`.
pub fn classes(subset: Subset) -> Vec<Class> {
    let kept = categories()
        .iter()
        .filter(|category| category.is_kept_in(subset));
    (1..)
        .zip(kept)
        .map(|(id, kept)| Class {
            id,
            wnid: kept.wnid,
            name: kept.name,
        })
        .collect()
}

/// The class that a training picture from an ImageNet folder belongs to, after merging; `None`
/// when the subset has no such class.
///
/// Training pictures only: validation and test pictures were labelled anew, and one in eight lies
/// in another folder than before.
pub fn class_of(subset: Subset, wnid: &str) -> Option<Class> {
    let category = category(wnid)?;
    let kept = category.merged_into().unwrap_or(category.wnid);
    classes(subset).into_iter().find(|class| class.wnid == kept)
}

/// The category with this WordNet id.
pub fn category(wnid: &str) -> Option<&'static Category> {
    let found = categories().binary_search_by(|category| category.wnid.cmp(wnid));
    found.ok().map(|rank| &categories()[rank])
}

/// Reads the embedded table; its lines are checked by the tests below.
fn parse(table: &'static str) -> Vec<Category> {
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(parse_line)
        .collect()
}

fn parse_line(line: &'static str) -> Category {
    let (wnid, rest) = line.split_once('\t').expect("the embedded table has tabs");
    let (fate, name) = rest
        .split_once('\t')
        .expect("the embedded table has three columns");
    Category {
        wnid,
        name,
        fate: parse_fate(fate),
    }
}

fn parse_fate(fate: &'static str) -> Fate {
    match fate.strip_prefix('>') {
        Some(wnid) => Fate::MergedInto(wnid),
        None if fate == "-" => Fate::Dropped,
        None => Fate::Kept(fate.parse().expect("the embedded table names subsets")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_1000_categories_are_sorted_and_unique() {
        assert_eq!(categories().len(), 1000);
        assert!(categories().is_sorted_by(|a, b| a.wnid < b.wnid));
    }

    #[test]
    fn each_subset_has_as_many_classes_as_its_name_says() {
        for subset in Subset::ALL {
            assert_eq!(classes(subset).len(), usize::from(subset.classes()));
        }
    }

    #[test]
    fn ids_belong_to_a_subset() {
        let goldfish = |subset| class_of(subset, "n01443537").unwrap().id;
        assert_eq!(Subset::ALL.map(goldfish), [1, 2, 2]);
    }

    #[test]
    fn a_name_is_no_key() {
        let cranes = categories()
            .iter()
            .filter(|category| category.name == "crane");
        assert_eq!(cranes.count(), 2);
    }

    #[test]
    fn five_categories_are_merged_and_76_dropped() {
        let merged = categories()
            .iter()
            .filter(|category| category.merged_into().is_some());
        let dropped = categories()
            .iter()
            .filter(|category| category.fate == Fate::Dropped);
        assert_eq!((merged.count(), dropped.count()), (5, 76));
    }

    #[test]
    fn a_merged_folder_counts_as_the_class_it_went_into() {
        for (from, id) in [
            ("n04356056", 783), // sunglasses -> sunglass
            ("n04493381", 430), // tub -> bathtub
            ("n03642806", 641), // laptop -> notebook
            ("n04008634", 617), // projectile -> missile
            ("n03887697", 919), // paper towel -> toilet tissue
        ] {
            assert_eq!(class_of(Subset::S919, from).unwrap().id, id, "{from}");
            assert_eq!(class_of(Subset::S300, from), None, "{from}");
        }
    }

    #[test]
    fn an_unknown_or_dropped_folder_has_no_class() {
        assert_eq!(class_of(Subset::S919, "n99999999"), None);
        assert_eq!(class_of(Subset::S919, "n02699494"), None);
    }

    /// Oracle: the CRC-32 of the table compiled from the published class lists, a line for each folder.
    #[test]
    fn ids_and_names_agree_with_the_published_lists() {
        let head = "wnid,name,id_50,id_300,id_919,merged_into".to_owned();
        let lines: Vec<String> = [head]
            .into_iter()
            .chain(categories().iter().map(published_form))
            .collect();
        let table = lines.join("\n") + "\n";
        assert_eq!(crc32fast::hash(table.as_bytes()), 0x976381a6, "{table}");
    }

    fn published_form(category: &Category) -> String {
        let id = |subset| {
            let class = classes(subset)
                .into_iter()
                .find(|class| class.wnid == category.wnid);
            class.map_or(String::new(), |class| class.id.to_string())
        };
        let [in_50, in_300, in_919] = Subset::ALL.map(id);
        let merged = category.merged_into().unwrap_or_default();
        let Category { wnid, name, .. } = category;
        format!("{wnid},{name},{in_50},{in_300},{in_919},{merged}")
    }
}

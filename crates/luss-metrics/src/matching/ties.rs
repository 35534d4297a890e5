//! Ties: how far a matching, and with it mIoU, is a matter of chance.
//!
//! Most counts of a matching table are 0 or small, so many matchings reach the largest total, and
//! a solver returns any of them. Their mIoU can differ by a point, when few pictures (15 %) are
//! matched right; at 35 % it hardly does (both measured on synthetic tables of 50 to 919 classes).
//!
//! # Algorithm
//!
//! The solver leaves prices with every row and column. A pairing is optimal exactly when it uses
//! *tight* pairs only, whose weight is the sum of the prices, and leaves alone only what costs
//! nothing. Going from row to row over tight pairs (to the row that now has the column), two rows
//! lie on a common cycle exactly when they can exchange columns: the strongly connected components
//! hold all that is open. Within small components the pairings are counted one by one; the pairing
//! of lowest and of highest mIoU is an assignment again, over tight pairs, with their IoUs.

use serde::{Deserialize, Serialize};

use crate::{
    AbsentClass, Error, Matching, MatchingRule, OTHER, Overlap,
    matching::{
        assignment::{Assignment, Costs, FORBIDDEN, assign_least_cost},
        exchanges::Exchanges,
    },
};

/// What is known of the matchings that are as good as the one returned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ties {
    /// Whether the matching is the only optimal one.
    pub unique: bool,
    /// Clusters that have different classes (or none) in different optimal matchings; clusters
    /// without a single pixel are among them.
    pub clusters_with_choice: u64,
    /// Number of optimal matchings, or at least so many.
    pub assignments: u64,
    /// Whether `assignments` is their number. To count them is #P-hard in general, so it is done
    /// where at most about 16 clusters exchange classes among each other.
    pub assignments_exact: bool,
    /// mIoU over the optimal matchings; `None` for [`MatchingRule::ManyToOne`], and when no label
    /// occurs.
    pub miou: Option<MiouRange>,
}

/// The lowest and the highest mIoU, over the labels of the protocol, of optimal matchings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MiouRange {
    /// Reached by an optimal matching.
    pub lowest: f64,
    /// Reached by an optimal matching.
    pub highest: f64,
    /// Whether no optimal matching lies outside, by more than 10⁻⁷. Else the ends are those of the
    /// sums of IoUs of matched pairs, and optimal matchings that turn other clusters into "other",
    /// or predict other absent classes under [`AbsentClass::Skip`], may lie a little beyond.
    pub exact: bool,
}

impl Ties {
    /// Looks at all matchings that are optimal under `rule`.
    ///
    /// # Errors
    ///
    /// As [`Matching::fit`].
    pub fn of(rule: MatchingRule, overlap: &Overlap) -> Result<Self, Error> {
        Matching::fit_with_ties(rule, overlap).map(|(_, ties)| ties)
    }

    /// Each cluster chooses by itself, so the choices multiply.
    pub(crate) fn many_to_one(overlap: &Overlap) -> Self {
        let mut best = vec![(0, 0u64); usize::from(overlap.clusters()) + 1];
        MatchingRule::ManyToOne.for_each_weight(overlap, |cluster, _, pixels| {
            let (most, classes) = &mut best[usize::from(cluster)];
            match pixels.cmp(most) {
                std::cmp::Ordering::Greater => (*most, *classes) = (pixels, 1),
                std::cmp::Ordering::Equal => *classes += 1,
                std::cmp::Ordering::Less => {}
            }
        });
        let choices = || best.iter().map(|(_, classes)| *classes).filter(|n| *n > 1);
        let product = choices().try_fold(1u64, |product, n| product.checked_mul(n));
        Self {
            unique: choices().next().is_none(),
            clusters_with_choice: choices().count() as u64,
            assignments: product.unwrap_or(u64::MAX),
            assignments_exact: product.is_some(),
            miou: None,
        }
    }

    /// From the costs under a rule and an optimal pairing.
    pub(crate) fn one_to_one(overlap: &Overlap, costs: Costs, best: &Assignment) -> Self {
        let exchanges = Exchanges::new(&costs, best);
        let table = WideTable { overlap, costs };
        let (assignments, assignments_exact) = exchanges.count();
        Self {
            unique: exchanges.is_unique(),
            clusters_with_choice: table.clusters_with_choice(&exchanges),
            assignments,
            assignments_exact,
            miou: table.miou_range(best, &exchanges),
        }
    }
}

/// The clusters and classes as the solver sees them: the fewer ones are its rows.
struct WideTable<'a> {
    overlap: &'a Overlap,
    costs: Costs,
}

impl WideTable<'_> {
    fn clusters_with_choice(&self, exchanges: &Exchanges) -> u64 {
        let choices = if self.costs.turned {
            exchanges.choices_of_columns()
        } else {
            exchanges.choices_of_rows()
        };
        choices.iter().filter(|n| **n > 1).count() as u64
    }

    fn miou_range(&self, best: &Assignment, exchanges: &Exchanges) -> Option<MiouRange> {
        let here = self.miou(best)?;
        if exchanges.is_unique() {
            return Some(MiouRange {
                lowest: here,
                highest: here,
                exact: true,
            });
        }
        let ious = self.scaled_ious();
        let extreme = |sign: i64| {
            let costs = self.costs_of_tight_pairs(&ious, exchanges, sign);
            self.miou(&assign_least_cost(
                &costs,
                self.costs.rows,
                self.costs.columns,
            ))
        };
        let (low, high) = (extreme(1)?, extreme(-1)?);
        Some(MiouRange {
            lowest: low.min(high).min(here),
            highest: high.max(low).max(here),
            exact: self.is_sum_of_ious(exchanges),
        })
    }

    /// Whether mIoU differs between optimal matchings by the IoUs of matched pairs alone: "other"
    /// is the same in all of them, and so is the number of labels in the mean.
    fn is_sum_of_ious(&self, exchanges: &Exchanges) -> bool {
        let protocol = self.overlap.protocol();
        let absent = protocol.absent_class;
        let alone = self.costs.turned && protocol.score_other;
        let same_other = !alone || exchanges.leave_the_same_columns_alone();
        let truth = self.overlap.label_areas();
        let same_labels = absent == AbsentClass::Zero || truth[1..].iter().all(|n| *n > 0);
        same_other && same_labels
    }

    /// mIoU of one pairing.
    fn miou(&self, assignment: &Assignment) -> Option<f64> {
        let mut class_of = vec![OTHER; usize::from(self.overlap.clusters()) + 1];
        for (row, &column) in assignment.column_of.iter().enumerate() {
            let (cluster, class) = if self.costs.turned {
                (column, row)
            } else {
                (row, column)
            };
            class_of[cluster + 1] = class as u16 + 1;
        }
        self.overlap
            .miou_under(|cluster| class_of[usize::from(cluster)])
    }

    /// The IoU of each pair in units of 2^-[`WideTable::scale`], rounded down.
    fn scaled_ious(&self) -> Vec<i64> {
        let (truth, clusters) = (self.overlap.label_areas(), self.overlap.cluster_areas());
        let mut ious = vec![0; self.costs.rows * self.costs.columns];
        for (cluster, class, both) in self.overlap.class_pairs() {
            let areas = truth[usize::from(class)] + clusters[usize::from(cluster)];
            let scaled = (u128::from(both) << self.scale()) / u128::from(areas - both);
            let (row, column) = (usize::from(cluster - 1), usize::from(class - 1));
            ious[self.costs.index(row, column)] = scaled as i64;
        }
        ious
    }

    /// As fine as sums along a path of the solver allow.
    fn scale(&self) -> u32 {
        (56 - 2 * self.costs.columns.next_power_of_two().ilog2()).min(40)
    }

    /// Costs under which exactly the optimal pairings are possible, and the one with the smallest
    /// sum of `sign * iou` is the cheapest.
    fn costs_of_tight_pairs(&self, ious: &[i64], exchanges: &Exchanges, sign: i64) -> Vec<i64> {
        // Larger than any difference of sums, so that no column is left alone that may not be.
        let must = (self.costs.rows as i64 + 1) << self.scale();
        let cost = |(index, iou): (usize, &i64)| {
            let (row, column) = (index / self.costs.columns, index % self.costs.columns);
            match exchanges.is_possible(row, column) {
                false => FORBIDDEN,
                true if exchanges.must_be_taken(column) => sign * iou - must,
                true => sign * iou,
            }
        };
        ious.iter().enumerate().map(cost).collect()
    }
}

#[cfg(test)]
mod tests;

//! What any metric here needs of one picture: its joint table of true and predicted labels.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{
    Error, MaskView, OTHER, Protocol,
    counts::{
        bits::{Bits, words_of},
        label_set::LabelSet,
        pair_hash::PairMap,
        runs::{Runs, for_each_overlap},
    },
    protocol::STRAY,
    scores::boundary::{Traced, boundary_thickness, boundary_under},
};

/// One picture's pixels and boundary pixels by true and predicted label, without the ignored ones.
///
/// Counted once, it can be added to an [`crate::Evaluator`], to the tables that a matching is
/// fitted to, and again under each matching and in each resample of a bootstrap. That holds for
/// its boundaries too as long as a matching joins no two labels of the picture (see
/// [`ImageCounts::matched`]).
///
/// # Memory
///
/// 48 bytes and 20 for each pair of labels that occurs: a few hundred bytes for a usual picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedCounts")]
pub struct ImageCounts {
    /// Only label pairs that occur, ordered by truth, then prediction.
    cells: Vec<Cell>,
    /// Predicted labels that occur under ignored pixels only.
    hidden: Vec<u16>,
}

/// The pixels of one picture that share a true and a predicted label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(into = "[u32; 6]")]
pub(crate) struct Cell {
    pub(crate) truth: u16,
    pub(crate) prediction: u16,
    pub(crate) pixels: u32,
    /// Those on a boundary of the truth.
    pub(crate) truth_boundary: u32,
    /// Those on a boundary of the prediction.
    pub(crate) prediction_boundary: u32,
    /// Those on a boundary of both.
    pub(crate) shared_boundary: u32,
}

impl ImageCounts {
    /// Counts a picture whose prediction holds ids up to `clusters`, under the protocol's policies
    /// for ignored pixels, boundaries and predictions out of range.
    ///
    /// # Errors
    ///
    /// [`Error::ClassCount`] or [`Error::BoundaryRatio`] for an impossible protocol;
    /// [`Error::SizeMismatch`] with both sizes, [`Error::PredictionOutOfRange`] (unless dropped) or
    /// [`Error::TruthOutOfRange`] with the first stray id and its place;
    /// [`Error::PictureTooLarge`] from 2³² pixels on.
    pub fn new<'a, 'b>(
        prediction: impl Into<MaskView<'a>>,
        truth: impl Into<MaskView<'b>>,
        clusters: u16,
        protocol: &Protocol,
    ) -> Result<Self, Error> {
        protocol.check()?;
        let pair = Pair::new(prediction.into(), truth.into())?;
        pair.check_labels(clusters, protocol)?;
        Ok(pair.count(|traced| pair.boundary(traced, protocol), protocol.ignore))
    }

    /// As [`ImageCounts::new`], without boundaries.
    pub(crate) fn of_areas(
        prediction: MaskView,
        truth: MaskView,
        clusters: u16,
        protocol: &Protocol,
    ) -> Result<Self, Error> {
        protocol.check()?;
        let pair = Pair::new(prediction, truth)?;
        pair.check_labels(clusters, protocol)?;
        let none = |traced: Traced| Bits::zeros(traced.mask.width(), traced.mask.height());
        Ok(pair.count(none, protocol.ignore))
    }

    /// The label pairs that occur, ordered by truth, then prediction.
    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Pixels that are not ignored.
    ///
    /// ```
    /// use luss_metrics::{ImageCounts, LabelMask, Protocol};
    ///
    /// let truth = LabelMask::new(3, 1, vec![0, 1, 1000])?;
    /// let prediction = LabelMask::new(3, 1, vec![0, 0, 0])?;
    /// let counts = ImageCounts::new(&prediction, &truth, 1, &Protocol::new(1))?;
    /// assert_eq!(counts.pixels(), 2);
    /// # Ok::<(), luss_metrics::Error>(())
    /// ```
    pub fn pixels(&self) -> u64 {
        self.pixels_where(|_| true)
    }

    /// Pixels of the cells that `keep` accepts.
    pub(crate) fn pixels_where(&self, keep: impl Fn(&Cell) -> bool) -> u64 {
        let kept = self.cells.iter().filter(|cell| keep(cell));
        kept.map(|cell| u64::from(cell.pixels)).sum()
    }

    /// Whether the truth or the prediction has a counted pixel that is not "other".
    pub(crate) fn has_foreground(&self) -> bool {
        let is_foreground = |cell: &Cell| cell.truth != OTHER || cell.prediction != OTHER;
        self.cells.iter().any(is_foreground)
    }

    /// The true classes ("other" left out) with their areas in pixels, in ascending order.
    pub(crate) fn true_classes(&self) -> Vec<(u16, u64)> {
        let classes = self.cells.chunk_by(|a, b| a.truth == b.truth);
        let area = |cells: &[Cell]| cells.iter().map(|cell| u64::from(cell.pixels)).sum();
        classes
            .map(|cells| (cells[0].truth, area(cells)))
            .filter(|(class, _)| *class != OTHER)
            .collect()
    }

    /// Whether a class ("other" left out) is so thin that all of its true pixels are boundary. Where the
    /// prediction is as thin, its boundary IoU is its IoU.
    pub fn has_thin_object(&self) -> bool {
        let sum =
            |cells: &[Cell], of: fn(&Cell) -> u32| cells.iter().map(of).map(u64::from).sum::<u64>();
        let mut classes = self.cells.chunk_by(|a, b| a.truth == b.truth);
        classes.any(|cells| {
            let is_class = cells[0].truth != OTHER;
            is_class && sum(cells, |cell| cell.pixels) == sum(cells, |cell| cell.truth_boundary)
        })
    }

    /// The predicted labels of counted pixels, each once, ascending.
    pub(crate) fn predicted_labels(&self) -> Vec<u16> {
        let mut labels: Vec<u16> = self.cells.iter().map(|cell| cell.prediction).collect();
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// Whether both have the same true pixels and boundaries, as far as counts can tell.
    pub(crate) fn has_truth_of(&self, other: &Self) -> bool {
        let sums = |cells: &[Cell]| {
            let pixels: u64 = cells.iter().map(|cell| u64::from(cell.pixels)).sum();
            let boundary: u64 = cells
                .iter()
                .map(|cell| u64::from(cell.truth_boundary))
                .sum();
            (cells[0].truth, pixels, boundary)
        };
        let truth = |image: &Self| -> Vec<(u16, u64, u64)> {
            image
                .cells
                .chunk_by(|a, b| a.truth == b.truth)
                .map(sums)
                .collect()
        };
        truth(self) == truth(other)
    }

    /// The same picture with each predicted label replaced by `class_of`. Labels that become one
    /// are joined, but the boundary between them stays.
    pub(crate) fn relabelled(&self, class_of: impl Fn(u16) -> u16) -> Self {
        let renamed = self.cells.iter().map(|cell| Cell {
            prediction: class_of(cell.prediction),
            ..*cell
        });
        let mut cells: Vec<Cell> = renamed.collect();
        cells.sort_unstable_by_key(Cell::labels);
        cells.dedup_by(|next, sum| sum.labels() == next.labels() && sum.join(next));
        let mut hidden: Vec<u16> = self.hidden.iter().map(|&label| class_of(label)).collect();
        hidden.retain(|label| cells.iter().all(|cell| cell.prediction != *label));
        hidden.sort_unstable();
        hidden.dedup();
        Self { cells, hidden }
    }

    /// Whether `class_of` gives two predicted labels of the picture the name of one class. Ignored pixels
    /// count: their regions are next to others.
    pub(crate) fn is_joined_by(&self, class_of: impl Fn(u16) -> u16) -> bool {
        let labels = self.predicted_labels();
        let mut names: Vec<u16> = labels
            .iter()
            .chain(&self.hidden)
            .map(|&l| class_of(l))
            .collect();
        names.retain(|name| *name != STRAY);
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }
}

impl Cell {
    fn labels(&self) -> (u16, u16) {
        (self.truth, self.prediction)
    }

    /// Adds the pixels of `other`; always true. One picture's sums fit, for so do all its pixels.
    fn join(&mut self, other: &Cell) -> bool {
        self.pixels += other.pixels;
        self.truth_boundary += other.truth_boundary;
        self.prediction_boundary += other.prediction_boundary;
        self.shared_boundary += other.shared_boundary;
        true
    }
}

/// A prediction and its truth, of one size, with their runs.
struct Pair<'a, 'b> {
    prediction: MaskView<'a>,
    truth: MaskView<'b>,
    prediction_runs: Runs,
    truth_runs: Runs,
}

impl<'a, 'b> Pair<'a, 'b> {
    fn new(prediction: MaskView<'a>, truth: MaskView<'b>) -> Result<Self, Error> {
        prediction.check_same_size(&truth)?;
        let pixels = truth.labels().len();
        if u32::try_from(pixels).is_err() {
            return Err(Error::PictureTooLarge { pixels });
        }
        let (prediction_runs, truth_runs) = (Runs::new(&prediction), Runs::new(&truth));
        Ok(Self {
            prediction,
            truth,
            prediction_runs,
            truth_runs,
        })
    }

    fn check_labels(&self, clusters: u16, protocol: &Protocol) -> Result<(), Error> {
        check_prediction(&self.prediction_runs, protocol.largest_id(clusters))?;
        check_truth(&self.truth_runs, protocol.classes, protocol.ignore)
    }

    fn boundary(&self, mask: Traced, protocol: &Protocol) -> Bits {
        let (width, height) = self.truth.size();
        let thickness_px = boundary_thickness(width, height, protocol.boundary_ratio);
        let (policy, ignore) = (protocol.boundary_ignore, protocol.ignore);
        boundary_under(policy, ignore, mask, self.traced_truth(), thickness_px)
    }

    fn traced_truth(&self) -> Traced<'_> {
        Traced {
            mask: &self.truth,
            runs: &self.truth_runs,
        }
    }

    /// The joint table; `boundary` marks the boundary pixels of either mask.
    fn count(&self, boundary: impl Fn(Traced) -> Bits, ignore: u16) -> ImageCounts {
        let traced = Traced {
            mask: &self.prediction,
            runs: &self.prediction_runs,
        };
        let (of_truth, of_prediction) = (boundary(self.traced_truth()), boundary(traced));
        let mut table = Table::default();
        for y in 0..self.truth.height() {
            let flags = [of_truth.row(y), of_prediction.row(y)];
            let (truth, prediction) = (self.truth_runs.row(y), self.prediction_runs.row(y));
            for_each_overlap(truth, prediction, |columns, t, p| {
                if t != ignore {
                    table.add((t, p), columns, flags);
                }
            });
        }
        let cells = table.into_cells();
        let hidden = self.hidden(&cells);
        ImageCounts { cells, hidden }
    }

    /// Predicted labels without a counted pixel.
    fn hidden(&self, cells: &[Cell]) -> Vec<u16> {
        let counted = LabelSet::of(cells.iter().map(|cell| cell.prediction));
        let all = LabelSet::of(self.prediction_runs.labels());
        all.ids()
            .filter(|&label| !counted.contains(label))
            .collect()
    }
}

/// The cells of a picture while it is counted.
#[derive(Default)]
struct Table {
    cells: Vec<Cell>,
    /// Where the cell of a pair of labels lies.
    index: PairMap<usize>,
    /// Where the last one was: neighbouring stretches often alternate between few cells.
    last: usize,
}

impl Table {
    /// Adds a stretch of a row.
    fn add(&mut self, labels: (u16, u16), columns: Range<usize>, flags: [&[u64]; 2]) {
        let cell = self.cell(labels);
        cell.pixels += columns.len() as u32;
        for (word, mask) in words_of(columns) {
            let [truth, prediction] = flags.map(|row| row[word] & mask);
            cell.truth_boundary += truth.count_ones();
            cell.prediction_boundary += prediction.count_ones();
            cell.shared_boundary += (truth & prediction).count_ones();
        }
    }

    fn cell(&mut self, labels: (u16, u16)) -> &mut Cell {
        if self
            .cells
            .get(self.last)
            .is_none_or(|cell| cell.labels() != labels)
        {
            self.last = *self.index.entry(labels).or_insert(self.cells.len());
        }
        if self.last == self.cells.len() {
            let (truth, prediction) = labels;
            self.cells.push(Cell {
                truth,
                prediction,
                ..Cell::default()
            });
        }
        &mut self.cells[self.last]
    }

    fn into_cells(mut self) -> Vec<Cell> {
        self.cells.sort_unstable_by_key(Cell::labels);
        self.cells.shrink_to_fit();
        self.cells
    }
}

/// Refuses ids of a prediction above `clusters`.
pub(crate) fn check_prediction(runs: &Runs, clusters: u16) -> Result<(), Error> {
    match runs.find(|id| id > clusters) {
        Some((id, x, y)) => Err(Error::PredictionOutOfRange {
            id,
            x,
            y,
            classes: clusters,
        }),
        None => Ok(()),
    }
}

/// Refuses ids of a truth that are neither "other", nor one of `classes`, nor ignore.
pub(crate) fn check_truth(runs: &Runs, classes: u16, ignore: u16) -> Result<(), Error> {
    match runs.find(|id| id > classes && id != ignore) {
        Some((id, x, y)) => Err(Error::TruthOutOfRange {
            id,
            x,
            y,
            classes,
            ignore,
        }),
        None => Ok(()),
    }
}

/// Refuses counts with true labels above `classes` or predicted ones above `largest`.
pub(crate) fn check_labels(image: &ImageCounts, largest: u16, classes: u16) -> Result<(), Error> {
    let stray = |id, classes| (id > classes).then_some(Error::LabelOutOfRange { id, classes });
    let of_cell = |cell: &Cell| stray(cell.truth, classes).or(stray(cell.prediction, largest));
    match image.cells().iter().find_map(of_cell) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// The stored form of a picture's counts, before its invariants are checked.
#[derive(Deserialize)]
struct UncheckedCounts {
    cells: Vec<[u32; 6]>,
    hidden: Vec<u16>,
}

impl From<[u32; 6]> for Cell {
    fn from([truth, prediction, pixels, ours, theirs, shared]: [u32; 6]) -> Self {
        Self {
            truth: truth as u16,
            prediction: prediction as u16,
            pixels,
            truth_boundary: ours,
            prediction_boundary: theirs,
            shared_boundary: shared,
        }
    }
}

impl From<Cell> for [u32; 6] {
    fn from(cell: Cell) -> Self {
        [
            cell.truth.into(),
            cell.prediction.into(),
            cell.pixels,
            cell.truth_boundary,
            cell.prediction_boundary,
            cell.shared_boundary,
        ]
    }
}

impl TryFrom<UncheckedCounts> for ImageCounts {
    type Error = Error;

    fn try_from(UncheckedCounts { cells, hidden }: UncheckedCounts) -> Result<Self, Error> {
        let possible = |[truth, prediction, pixels, ours, theirs, shared]: &[u32; 6]| {
            let labels = [truth, prediction]
                .iter()
                .all(|label| u16::try_from(**label).is_ok());
            let boundary = ours.max(theirs) <= pixels && shared <= ours.min(theirs);
            labels && *pixels > 0 && boundary
        };
        let ordered = cells.windows(2).all(|pair| pair[0][..2] < pair[1][..2]);
        let pixels: u64 = cells.iter().map(|cell| u64::from(cell[2])).sum();
        let increasing = hidden.windows(2).all(|pair| pair[0] < pair[1]);
        let fits = u32::try_from(pixels).is_ok() && ordered && increasing;
        if !fits || !cells.iter().all(possible) {
            return Err(Error::DamagedCounts);
        }
        let cells: Vec<Cell> = cells.into_iter().map(Cell::from).collect();
        let counted = LabelSet::of(cells.iter().map(|cell| cell.prediction));
        if hidden.iter().any(|&label| counted.contains(label)) {
            return Err(Error::DamagedCounts);
        }
        Ok(Self { cells, hidden })
    }
}

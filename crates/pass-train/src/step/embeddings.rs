//! The attended embeddings of the training pictures, which step 2.2 clusters.
//!
//! They go to a file as they are computed, so that the memory does not grow with their number, and
//! a process that was killed is followed by one that goes on behind the last batch.

use std::ops::Range;

use burn::tensor::Tensor;
use imagenet_s::Split;
use ndarray::Array2;
use pass_model::{group::Group, normalize::global_average_pool};
use pixel_attention::{
    attention_net::AttentionNet,
    kmeans::normalize_rows,
    row_file::{RowFile, RowFileWriter},
    rows::{Part, Rows, read_within},
};

use crate::{
    Context, Error, Step,
    inference::{Pass, Shape, check_finite, for_each_round},
    ranks::{done_by_first, first_with},
    run_file::LabelWay,
    step::{attention::tuned_net, objects::clustered::write_embeddings},
};

/// Opens `embeddings.npy`, which all ranks write first, or to its end, if it is not whole. Collective.
pub(super) fn embeddings(context: &Context) -> Result<RowFile, Error> {
    let (path, ranks) = (context.run.embeddings(), &context.ranks);
    done_by_first(ranks, || context.set_aside_if_changed(&path))?;
    if first_with(ranks, ranks.is_first() && path.exists()).is_none() {
        match context.file.cluster.way {
            LabelWay::Objects => done_by_first(ranks, || write_embeddings(context))?,
            _ => extract(context)?,
        }
    }
    let rows = RowFile::open(&path)?;
    let (count, pictures) = (rows.count(), context.data.samples(Split::Train).len());
    let expected = pictures * rows_each(context);
    let several = context.file.cluster.way == LabelWay::Objects;
    if count < expected || count > expected && !several {
        let cause = format!("{count} embeddings for {pictures} training pictures");
        return Err(Error::Damaged { path, cause });
    }
    Ok(rows)
}

/// Writes the L2-normalised, attention-pooled embedding of every training picture, in order; or
/// what else is to be clustered. The ranks compute the batches in turn, rank 0 writes.
fn extract(context: &Context) -> Result<(), Error> {
    let ranks = &context.ranks;
    let section = &context.file.cluster;
    let mut net = tuned_net(context, Step::Cluster)?;
    let mut writer = None;
    done_by_first(ranks, || {
        writer = Some(begun(context)?);
        Ok(())
    })?;
    let rows = writer.as_ref().map_or(0, RowFileWriter::rows);
    let pass = Pass {
        name: "embed",
        split: Split::Train,
        done: ranks.one_of_each(rows as f64)[0] as usize / rows_each(context),
        shape: Shape::Center(section.resize, section.crop),
        batch: section.batch,
    };
    for_each_round(context, &pass, |pictures| {
        let own = pictures.map(|pictures| embedded(&mut net, pictures, section.way));
        let rows = rows_of_all(ranks, own.unwrap_or_default());
        // On all ranks: none must wait for another that has stopped.
        check_finite("embeddings, of which number", &rows)?;
        if let Some(writer) = &mut writer {
            writer.append(&rows)?;
            writer.sync()?;
        }
        Ok(())
    })?;
    done_by_first(ranks, || {
        let writer = writer.take().expect("rank 0 has begun to write");
        writer.finish()?;
        context.run.seal(&context.run.embeddings())
    })
}

/// The file as far as an earlier process came.
fn begun(context: &Context) -> Result<RowFileWriter, Error> {
    let path = context.run.embeddings();
    context.run.make_room_for(&path)?;
    context.run.unseal(&path)?;
    let width = context.file.network.backbone.channels(4);
    let element = context.file.cluster.embeddings;
    Ok(RowFileWriter::resume(&path, width, element)?)
}

/// The rows of a batch, one after the other.
fn embedded(net: &mut AttentionNet, pictures: Tensor<4>, way: LabelWay) -> Vec<f32> {
    let rows = match way {
        LabelWay::PixelAttention => net.cluster_embedding(pictures),
        LabelWay::ImageLevel => global_average_pool(net.features(pictures)),
        LabelWay::PixelLevel => pixels(net.features(pictures)),
        LabelWay::Objects => unreachable!("found on the frozen backbone"),
    };
    let values: Vec<f32> = rows.clone().into_data().iter().collect();
    let rows = Array2::from_shape_vec(rows.dims(), values);
    let mut rows = rows.expect("as many values as the shape says");
    normalize_rows(&mut rows);
    let (rows, _) = rows.into_raw_vec_and_offset();
    rows
}

/// The rows of all ranks, those of rank 0 first. Collective.
pub(super) fn rows_of_all(ranks: &Group, own: Vec<f32>) -> Vec<f32> {
    let own = own.into_iter().map(f32::to_bits).collect();
    let all = ranks.gather(own);
    all.into_iter().map(f32::from_bits).collect()
}

/// `[batch, D, h, w]` as `[batch · h · w, D]`, the pixels of a picture together.
fn pixels(features: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = features.dims();
    let pixels = features.permute([0, 2, 3, 1]);
    pixels.reshape([batch * height * width, channels])
}

/// Rows of each picture, at least: 1, or the pixels of the map of a centre crop.
pub(super) fn rows_each(context: &Context) -> usize {
    let (section, backbone) = (&context.file.cluster, &context.file.network.backbone);
    match section.way {
        LabelWay::PixelLevel => backbone.map_side(section.crop as usize).pow(2),
        _ => 1,
    }
}

/// This rank's part of the rows.
pub(super) fn own_part<'a>(rows: &'a RowFile, ranks: &Group) -> Part<'a> {
    Part::new(rows, own_range(rows.count(), ranks))
}

/// This rank's share of so many, each rank's behind that of the one before.
pub(super) fn own_range(count: usize, ranks: &Group) -> Range<usize> {
    let start = |rank| count * rank / ranks.size();
    start(ranks.rank())..start(ranks.rank() + 1)
}

/// Calls `work` with the rows: in memory where they fit, else as they lie in the file. The result
/// of a clustering is the same to the bit.
pub(super) fn with_rows<T>(
    rows: &dyn Rows,
    memory_mib: usize,
    work: impl FnOnce(&dyn Rows) -> Result<T, Error>,
) -> Result<T, Error> {
    match read_within(rows, memory_mib)? {
        Some(all) => work(&all.view()),
        None => work(rows),
    }
}

/// The first of the rows of each picture.
pub(super) struct FirstRows<'a> {
    /// The rows of all pictures.
    pub(super) rows: &'a dyn Rows,
    /// The first of each.
    pub(super) firsts: Vec<usize>,
}

impl Rows for FirstRows<'_> {
    fn count(&self) -> usize {
        self.firsts.len()
    }

    fn columns(&self) -> usize {
        self.rows.columns()
    }

    fn read(&self, first: usize, into: &mut [f32]) -> pixel_attention::error::Result<()> {
        let rows = into.chunks_mut(self.columns());
        let mut places = self.firsts[first..].iter().zip(rows);
        places.try_for_each(|(&place, row)| self.rows.read(place, row))
    }
}

/// The mean of the rows of each picture.
pub(super) struct PictureMeans<'a> {
    /// The rows of all pictures.
    pub(super) rows: &'a dyn Rows,
    /// Rows of each.
    pub(super) each: usize,
}

impl Rows for PictureMeans<'_> {
    fn count(&self) -> usize {
        self.rows.count() / self.each
    }

    fn columns(&self) -> usize {
        self.rows.columns()
    }

    fn read(&self, first: usize, into: &mut [f32]) -> pixel_attention::error::Result<()> {
        let columns = self.columns();
        let mut rows = vec![0.0; self.each * columns];
        for (picture, mean) in (first..).zip(into.chunks_mut(columns)) {
            self.rows.read(picture * self.each, &mut rows)?;
            for (column, mean) in mean.iter_mut().enumerate() {
                let values = rows[column..].iter().step_by(columns);
                let sum: f64 = values.map(|&value| f64::from(value)).sum();
                *mean = (sum / self.each as f64) as f32;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayView2;

    use super::*;

    #[test]
    fn a_picture_is_the_mean_of_its_rows() {
        let all: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let rows = ArrayView2::from_shape((8, 3), &all).unwrap();
        let means = PictureMeans {
            rows: &rows,
            each: 4,
        };
        assert_eq!(means.count(), 2);
        let mut second = [0.0; 3];
        means.read(1, &mut second).unwrap();
        assert_eq!(second, [16.5, 17.5, 18.5]);
    }
}

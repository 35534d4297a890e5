//! The attended embeddings of the training pictures, which step 2.2 clusters.
//!
//! They go to a file as they are computed, so that the memory does not grow with their number, and
//! a process that was killed is followed by one that goes on behind the last batch.

use imagenet_s::Split;
use ndarray::{Array2, ArrayView2};
use pixel_attention::{
    attention_net::AttentionNet,
    kmeans::normalize_rows,
    row_file::{RowFile, RowFileWriter},
    rows::Rows,
};

use crate::{
    Context, Error, Step,
    inference::{Pass, Shape, for_each_batch},
    step::attention::tuned_net,
};

/// Opens `embeddings.npy`, which is written first, or to its end, if it is not whole.
pub(super) fn embeddings(context: &Context) -> Result<RowFile, Error> {
    let path = context.run.embeddings();
    if !path.exists() {
        let mut net = tuned_net(context, Step::Cluster)?;
        extract(context, &mut net)?;
    }
    let rows = RowFile::open(&path)?;
    let (count, pictures) = (rows.count(), context.data.samples(Split::Train).len());
    if count != pictures {
        let cause = format!("{count} embeddings for {pictures} training pictures");
        return Err(Error::Damaged { path, cause });
    }
    Ok(rows)
}

/// Writes the L2-normalised, attention-pooled embedding of every training picture, in order.
fn extract(context: &Context, net: &mut AttentionNet) -> Result<(), Error> {
    let path = context.run.embeddings();
    let section = &context.file.cluster;
    context.run.make_room_for(&path)?;
    let width = context.file.network.backbone.channels(4);
    let mut writer = RowFileWriter::resume(&path, width, section.embeddings)?;
    let pass = Pass {
        name: "embed",
        split: Split::Train,
        done: writer.rows(),
        shape: Shape::Center(section.resize, section.crop),
        batch: section.batch,
    };
    for_each_batch(context, &pass, |_, pictures| {
        let pooled = net.cluster_embedding(pictures);
        let values: Vec<f32> = pooled.clone().into_data().iter().collect();
        let rows = Array2::from_shape_vec(pooled.dims(), values);
        let mut rows = rows.expect("as many values as the shape says");
        normalize_rows(&mut rows);
        writer.append(rows.as_slice().expect("just made row by row"))?;
        Ok(writer.sync()?)
    })?;
    Ok(writer.finish()?)
}

/// Calls `work` with the rows: in memory where they fit, else as they lie in the file. The result
/// of a clustering is the same to the bit.
pub(super) fn with_rows<T>(
    rows: &RowFile,
    memory_mib: usize,
    work: impl FnOnce(&dyn Rows) -> Result<T, Error>,
) -> Result<T, Error> {
    let values = rows.count() * rows.columns();
    // k-means keeps a second copy in the order of its products.
    if 2 * values * size_of::<f32>() > memory_mib << 20 {
        return work(rows);
    }
    let mut all = vec![0.0; values];
    rows.read(0, &mut all)?;
    let all = ArrayView2::from_shape((rows.count(), rows.columns()), &all);
    work(&all.expect("as many values as the shape says"))
}

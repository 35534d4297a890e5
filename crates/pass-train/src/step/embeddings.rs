//! The attended embeddings of the training pictures, which step 2.2 clusters.

use imagenet_s::Split;
use ndarray::Array2;
use pixel_attention::{attention_net::AttentionNet, kmeans::normalize_rows};

use crate::{
    Context, Error,
    inference::{Shape, for_each_batch},
};

/// The L2-normalised, attention-pooled embedding of every training picture.
pub(super) fn embeddings(context: &Context, net: &mut AttentionNet) -> Result<Array2<f32>, Error> {
    let section = &context.file.cluster;
    let shape = Shape::Center(section.resize, section.crop);
    let mut values: Vec<f32> = Vec::new();
    let mut width = 0;
    for_each_batch(
        context,
        "embed",
        Split::Train,
        shape,
        section.batch,
        |_, pictures| {
            let pooled = net.cluster_embedding(pictures);
            width = pooled.dims()[1];
            values.extend(pooled.into_data().iter::<f32>());
            Ok(())
        },
    )?;
    let shape = (values.len() / width, width);
    let mut points = Array2::from_shape_vec(shape, values).expect("whole rows were pushed");
    normalize_rows(&mut points);
    Ok(points)
}

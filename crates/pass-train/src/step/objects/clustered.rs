//! What step 2.2 clusters of objects: their embeddings, half whitened.

use imagenet_s::Split;
use pixel_attention::{foreground::HalfWhitening, row_file::RowFileWriter, rows::Rows};

use super::{ensure_objects, found::Embeddings};
use crate::{Context, Error, RunDir};

/// Fits the whitening to the objects of the training pictures, and writes `cluster/whitening.json` and
/// `cluster/embeddings.npy`: a row an object, the objects of a picture together.
pub(crate) fn write_embeddings(context: &Context) -> Result<(), Error> {
    let (run, path) = (&context.run, context.run.embeddings());
    let objects = ensure_objects(context, Split::Train)?;
    let rows = objects.embeddings();
    let whitening = HalfWhitening::fit(&rows, context.file.cluster.whitened_dims)?;
    run.make_room_for(&path)?;
    run.write_json(&run.whitening(), &whitening)?;
    run.seal(&run.whitening())?;
    run.unseal(&path)?;
    write_whitened(context, &rows, &whitening)?;
    run.seal(&path)
}

fn write_whitened(
    context: &Context,
    rows: &Embeddings,
    whitening: &HalfWhitening,
) -> Result<(), Error> {
    let element = context.file.cluster.embeddings;
    let path = context.run.embeddings();
    let mut writer = RowFileWriter::create(&path, whitening.dimensions(), element)?;
    let mut row = vec![0.0; rows.columns()];
    for place in 0..rows.count() {
        rows.read(place, &mut row)?;
        writer.append(&whitening.apply(&row))?;
    }
    Ok(writer.finish()?)
}

/// The whitening that the clusters were found with.
pub(super) fn whitening(run: &RunDir) -> Result<HalfWhitening, Error> {
    run.read_json(&run.unchanged(&run.whitening())?)
}

/// The first row of each training picture among the rows that are clustered.
pub(crate) fn first_rows(context: &Context) -> Result<Vec<usize>, Error> {
    Ok(ensure_objects(context, Split::Train)?.firsts().to_vec())
}

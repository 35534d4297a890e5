//! How many categories to look for, where nobody says.

use std::{fs, iter, path::PathBuf};

use imagenet_s::Split;
use ndarray::Array2;
use pixel_attention::{
    foreground::HalfWhitening,
    kmeans::suggest::{SuggestConfig, Suggestion, suggest},
    rows::Rows,
};

use super::{ensure_objects, find, map_file, splits_with_objects};
use crate::{Context, Error, RunDir, RunFile, Step, ranks::done_by_first};

/// The folder in a run directory of the run that a suggestion was made in.
pub const SUGGESTION: &str = "suggestion";

/// Its file with the [`Suggestion`].
const CLASSES: &str = "classes.json";

/// Suggests a number of categories by the objects of the training pictures, which are found first, and
/// leaves it in `classes.json`.
///
/// # Errors
///
/// [`Error::StepMissing`] before step 1; fewer than ten objects; else from data or disk.
pub fn suggest_classes(context: &Context) -> Result<Suggestion, Error> {
    if !context.run.is_done(Step::FindObjects) {
        // The run that takes these objects tells what was found in them.
        done_by_first(&context.ranks, || find(context).map(drop))?;
    }
    let objects = ensure_objects(context, Split::Train)?;
    let rows = objects.embeddings();
    let whitening = HalfWhitening::fit(&rows, context.file.cluster.whitened_dims)?;
    let config = SuggestConfig {
        seed: context.file.seed,
        ..SuggestConfig::default()
    };
    let suggestion = suggest(&whitened(&rows, &whitening)?.view(), &config)?;
    context
        .run
        .write_json(&context.run.file(CLASSES), &suggestion)?;
    Ok(suggestion)
}

fn whitened(rows: &dyn Rows, whitening: &HalfWhitening) -> Result<Array2<f32>, Error> {
    let (mut all, mut row) = (Vec::new(), vec![0.0; rows.columns()]);
    for place in 0..rows.count() {
        rows.read(place, &mut row)?;
        all.extend(whitening.apply(&row));
    }
    let columns = whitening.dimensions();
    let all = Array2::from_shape_vec((rows.count(), columns), all);
    Ok(all.expect("rows of one length"))
}

/// The suggestion that the number of categories of a run was taken from, if one was made.
///
/// # Errors
///
/// [`Error::Io`], [`Error::Damaged`].
pub fn suggestion_of(run: &RunDir) -> Result<Option<Suggestion>, Error> {
    let path = run.file(SUGGESTION).join(CLASSES);
    path.exists().then(|| run.read_json(&path)).transpose()
}

/// Takes the objects that were found for a suggestion, so that they need not be found again.
///
/// Nothing happens where this run has objects, or where those were found on other pictures, with other
/// settings or other weights. Collective.
///
/// # Errors
///
/// [`Error::Io`]; [`Error::ChangedFile`] for objects that have changed.
pub fn adopt_objects(context: &Context) -> Result<(), Error> {
    done_by_first(&context.ranks, || adopt(context))
}

fn adopt(context: &Context) -> Result<(), Error> {
    let run = &context.run;
    let root = run.file(SUGGESTION);
    let Some(file) = RunDir::stored(&root)? else {
        return Ok(());
    };
    let other = RunDir::find(&root, &file)?;
    let found = other.is_done(Step::FindObjects) && !run.is_done(Step::FindObjects);
    if !found || !looks_alike(&file, &context.file) || !has_same_inputs(&other, run)? {
        return Ok(());
    }
    let splits = splits_with_objects(context).into_iter();
    let files = splits.map(|split| (other.objects(split.name()), run.objects(split.name())));
    // What the rows hold comes first: after a kill there are no rows without it.
    for (from, to) in iter::once((map_file(&other), map_file(run))).chain(files) {
        if from.exists() && !to.exists() {
            run.make_room_for(&to)?;
            fs::rename(other.unchanged(&from)?, &to).map_err(Error::io(&to, "move objects to"))?;
            run.seal(&to)?;
        }
    }
    Ok(())
}

/// Whether two runs look at pictures in the same way.
fn looks_alike(a: &RunFile, b: &RunFile) -> bool {
    let (data, other) = (a.data.decoding(), b.data.decoding());
    data == other && a.objects == b.objects && a.network == b.network
}

/// Whether two runs have the same pictures and the same weights.
fn has_same_inputs(a: &RunDir, b: &RunDir) -> Result<bool, Error> {
    let read = |path: PathBuf| fs::read(&path).map_err(Error::io(&path, "read"));
    let inputs = |run: &RunDir| {
        let weights = run.unchanged_weights(Step::Pretrain)?;
        Ok::<_, Error>([read(run.file("pictures.jsonl"))?, read(weights)?])
    };
    Ok(inputs(a)? == inputs(b)?)
}

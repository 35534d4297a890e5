//! Whether there are enough pictures for the batches and clusters of a run file.

use imagenet_s::{Dataset, Split, synthetic::SyntheticConfig};

use crate::{Error, RunFile, Step, step::Batches};

/// The counts of the embedded dataset, before its pictures are drawn.
///
/// # Errors
///
/// [`Error::TooFewPictures`], or [`Error::Value`] for a split without pictures.
pub(crate) fn check_synthetic_counts(
    file: &RunFile,
    config: &SyntheticConfig,
) -> Result<(), Error> {
    for (key, pictures) in [
        ("train_semi_per_class", config.train_semi_per_class),
        (Split::Validation.name(), config.validation),
        (Split::Test.name(), config.test),
    ] {
        if pictures == 0 {
            return Err(Error::Value {
                place: "the embedded data".into(),
                key: format!("data.source.synthetic.{key}"),
                value: "0".into(),
                rule: "must be at least 1: a tree without pictures in a split cannot be opened"
                    .into(),
            });
        }
    }
    let for_step_1 = match file.data.pretrain_pictures {
        None => config.train,
        Some(_) => usize::MAX, // not yet counted
    };
    check_enough(file, config.train, for_step_1, config.classes)
}

/// Refuses fewer pictures than batches and clusters need; `extra` are those of step 1 alone.
pub(crate) fn check_counts(
    file: &RunFile,
    data: &Dataset,
    extra: Option<&Dataset>,
) -> Result<(), Error> {
    let train = data.samples(Split::Train).len();
    let for_step_1 = extra.map_or(train, |extra| extra.samples(Split::Train).len());
    check_enough(file, train, for_step_1, data.classes())
}

/// Refuses fewer training pictures than a batch of a training step or than clusters.
fn check_enough(
    file: &RunFile,
    train: usize,
    for_step_1: usize,
    classes: u16,
) -> Result<(), Error> {
    for step in Step::trainings().filter(|step| step.left_out(file).is_none()) {
        let Batches {
            section,
            epochs,
            batch,
            ..
        } = step.batches(file).expect("a training");
        let pictures = if step == Step::Pretrain {
            for_step_1
        } else {
            train
        };
        if pictures < batch && epochs > 0 {
            return Err(Error::TooFewPictures {
                step: step.name(),
                pictures,
                what: "a batch of",
                needed: batch,
                remedy: format!(
                    "add pictures (of the embedded data by `data.source.synthetic.train`), or lower \
                     this step's `batch`: `{section}.batch`"
                )
                .into(),
            });
        }
    }
    let clusters = usize::from(classes);
    if train < clusters {
        return Err(Error::TooFewPictures {
            step: Step::Cluster.name(),
            pictures: train,
            what: "clusters:",
            needed: clusters,
            remedy: "add pictures (of the embedded data by `data.source.synthetic.train`), or ask \
                     for fewer classes (`data.source.synthetic.classes`, --classes)"
                .into(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_no_step_can_fill_is_refused() {
        let small = "[pretrain]\nbatch = 8\n[attention]\nbatch = 8\n[finetune]\nbatch = 31\n";
        let file = RunFile::parse(small, "test", &[]).unwrap();
        check_enough(&file, 31, 8, 3).unwrap();
        let message = check_enough(&file, 30, 8, 3).unwrap_err().to_string();
        assert!(
            message.contains("finetune: 30 pictures are too few"),
            "{message}"
        );
    }
}

//! Epochs from a least number of updates: few images need more passes to learn as much.

use super::RunFile;
use crate::Step;

/// The settings of a training that decide its number of updates.
struct Updates<'a> {
    section: &'static str,
    epochs: &'a mut usize,
    batch: usize,
    least: usize,
}

impl RunFile {
    /// Raises the epochs of each training until it has its `least_updates` on so many images, and says
    /// which were raised, unless their step is left out. A run that has begun keeps the epochs of its `stored` file.
    pub(crate) fn settle_epochs(&mut self, images: usize, stored: Option<&Self>) -> Vec<String> {
        let mut stored = stored.cloned();
        let before = match &mut stored {
            Some(stored) => stored.updates().map(Some),
            None => [None, None, None],
        };
        let taken = Step::trainings().map(|step| step.left_out(self).is_none());
        let taken: Vec<bool> = taken.collect();
        let settled = self.updates().into_iter().zip(before).zip(taken);
        let raised = settled.filter_map(|((now, before), taken)| {
            let told = now.settle(images, before);
            told.filter(|_| taken)
        });
        raised.collect()
    }

    /// Of [`Step::trainings`].
    fn updates(&mut self) -> [Updates<'_>; 3] {
        macro_rules! updates {
            ($section:ident) => {
                Updates {
                    section: stringify!($section),
                    epochs: &mut self.$section.epochs,
                    batch: self.$section.batch,
                    least: self.$section.least_updates,
                }
            };
        }
        [updates!(pretrain), updates!(attention), updates!(finetune)]
    }
}

impl Updates<'_> {
    /// Without an epoch nothing is to be learned.
    fn settle(self, images: usize, stored: Option<Updates>) -> Option<String> {
        let Self {
            section,
            epochs,
            batch,
            least,
        } = self;
        if *epochs == 0 || least == 0 {
            return None;
        }
        let same =
            stored.filter(|of| (of.batch, of.least) == (batch, least) && *of.epochs >= *epochs);
        let given = *epochs;
        if let Some(stored) = same {
            *epochs = *stored.epochs;
            let raised = given.max(least.div_ceil((images / batch).max(1)));
            return (*epochs != raised).then(|| {
                format!(
                    "{section}: {epochs} epochs, as this run has begun with, in place of {given}; --set \
                     {section}.epochs=N takes N"
                )
            });
        }
        *epochs = given.max(least.div_ceil((images / batch).max(1)));
        (*epochs > given).then(|| {
            format!(
                "{section}: {epochs} epochs in place of {given}, since {images} images would give it fewer than \
                 {least} updates (`{section}.least_updates`; --set {section}.epochs=N takes N)"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(overrides: &[&str]) -> RunFile {
        let text = "[pretrain]\nepochs = 15\nbatch = 32\nleast_updates = 500";
        let overrides: Vec<String> = overrides.iter().map(|of| of.to_string()).collect();
        RunFile::parse(text, "test", &overrides).unwrap()
    }

    #[test]
    fn few_images_get_more_epochs_and_many_those_that_were_given() {
        let epochs = |images| {
            let mut file = file(&[]);
            let said = file.settle_epochs(images, None);
            (file.pretrain.epochs, said.len())
        };
        assert_eq!(epochs(100), (167, 1)); // three updates each
        assert_eq!(epochs(10), (500, 1));
        assert_eq!(epochs(3497), (15, 0));
    }

    #[test]
    fn of_a_training_that_is_left_out_nothing_is_said() {
        let said = |overrides: &[&str]| {
            let least = ["attention", "finetune"].map(|of| format!("{of}.least_updates=900"));
            let least = least.iter().map(String::as_str);
            let overrides: Vec<&str> = overrides.iter().copied().chain(least).collect();
            let said = file(&overrides).settle_epochs(100, None);
            said.iter()
                .map(|line| line[..6].to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(said(&[]), ["pretra", "attent", "finetu"]);
        let objects = "cluster.way=objects";
        assert_eq!(said(&[objects]), ["pretra", "finetu"]);
        let labels = "predict.predictor=labels";
        assert_eq!(said(&[objects, labels]), ["pretra"]);
    }

    #[test]
    fn a_run_keeps_the_epochs_that_it_began_with() {
        let mut stored = file(&[]);
        stored.settle_epochs(100, None);
        let mut again = file(&[]);
        let told = again.settle_epochs(640, Some(&stored));
        assert!(!told.is_empty());
        let kept = |line: &String| line.contains("as this run has begun with");
        assert!(told.iter().all(kept), "{told:?}");
        assert_eq!(again, stored);
        let mut stored_again = stored.clone();
        assert!(stored_again.settle_epochs(100, Some(&stored)).is_empty());
        assert_eq!(stored_again, stored);
    }

    #[test]
    fn epochs_of_the_command_line_are_taken_as_they_are() {
        let settled = |overrides: &[&str]| {
            let mut file = file(overrides);
            file.settle_epochs(100, None);
            (file.pretrain.epochs, file.pretrain.least_updates)
        };
        assert_eq!(settled(&["pretrain.epochs=3"]), (3, 0));
        assert_eq!(settled(&["pretrain.epochs=0"]), (0, 0));
        let both = ["pretrain.epochs=3", "pretrain.least_updates=30"];
        assert_eq!(settled(&both), (10, 30));
    }
}

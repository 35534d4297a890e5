//! What helps against a finding, in words that suit the run: nobody is told to take an option that the program refuses.

use serde_json::Value;

use crate::{
    Context, RunFile, Step,
    run_file::{LabelWay, Source},
};

/// What helps where a network has learned too little.
const LEARN_MORE: &str = "begin a run with a pretrained backbone (--backbone NAME=FILE), or \
     train longer (--set pretrain.epochs=N --rerun pretrain)";

/// What helps where a frozen backbone tells too little apart.
const OTHER_OBJECTS: &str =
    "try another backbone, another `objects.foreground.way`, or `objects.layer`";

/// What helps where there is too little or too much of the foreground.
const FOREGROUND_SHARE: &str = "--set threshold.rule={foreground_share=0.3}";

/// What helps where labels have no foreground.
pub(crate) const WITHOUT_FOREGROUND: &str = "attention or clusters have learned too little for any \
     threshold to beat empty masks; look whether the swapped losses in log.jsonl fell clearly below \
     ln K, train longer, or start in another --run with a rule that always leaves foreground: \
     --set threshold.rule={foreground_share=0.3}";

/// What to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// What was learned is too little.
    LearnMore,
    /// The same, with what helps against a loss at its value of chance.
    LearnMoreWith(String),
    /// There are too many clusters for the images.
    FewerClasses,
    /// The masks are nearly empty.
    MoreForeground,
    /// The masks hold what surrounds the objects.
    LessForeground,
    /// The labels are empty.
    AnyForeground,
    /// The labels have no background.
    AnyBackground,
}

/// What the words depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// Whether objects of a frozen backbone are clustered, in place of attended embeddings.
    pub(crate) objects: bool,
    /// Whether the number of classes is a choice: that of a tree is given.
    pub(crate) classes_are_chosen: bool,
    /// Whether step 1 has taken weights from elsewhere.
    pub(crate) imported: bool,
}

impl Situation {
    pub(crate) fn of(context: &Context) -> Self {
        Self::of_file(&context.file, is_imported(context))
    }

    fn of_file(file: &RunFile, imported: bool) -> Self {
        Self {
            objects: file.cluster.way == LabelWay::Objects,
            classes_are_chosen: matches!(file.data.source, Source::Pictures { .. }),
            imported,
        }
    }
}

fn is_imported(context: &Context) -> bool {
    let done = context.run.is_done(Step::Pretrain);
    let summary = done.then(|| context.run.summary::<Value>(Step::Pretrain));
    summary.is_some_and(|summary| summary.is_ok_and(|of| of.get("imported").is_some()))
}

impl Advice {
    pub(crate) fn text(&self, of: Situation) -> String {
        let Situation {
            objects, imported, ..
        } = of;
        match self {
            Self::LearnMore if objects => OTHER_OBJECTS.into(),
            Self::LearnMore if imported => format!(
                "try another backbone (--backbone NAME=FILE), {}",
                fewer_classes(of)
            ),
            Self::LearnMore => LEARN_MORE.into(),
            Self::LearnMoreWith(remedy) => format!("{LEARN_MORE}; with {remedy}"),
            Self::FewerClasses => fewer_classes(of).into(),
            Self::MoreForeground | Self::AnyForeground | Self::AnyBackground if objects => {
                OTHER_OBJECTS.into()
            }
            Self::MoreForeground => format!("take a lower threshold, as {FOREGROUND_SHARE}"),
            Self::LessForeground if objects => {
                format!("take it for background when you use the masks, or {OTHER_OBJECTS}")
            }
            Self::LessForeground => format!(
                "take it for background when you use the masks, or have less foreground, as {FOREGROUND_SHARE}"
            ),
            Self::AnyForeground => WITHOUT_FOREGROUND.into(),
            Self::AnyBackground => {
                "the attention tells nothing apart, or the threshold is too low: see threshold.json, or take \
                 another `threshold.rule`"
                    .into()
            }
        }
    }
}

fn fewer_classes(of: Situation) -> &'static str {
    match of.classes_are_chosen {
        true => "ask for fewer classes (--classes), or add images",
        false => "add images",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Advice; 6] = [
        Advice::LearnMore,
        Advice::FewerClasses,
        Advice::MoreForeground,
        Advice::LessForeground,
        Advice::AnyForeground,
        Advice::AnyBackground,
    ];

    fn situation(settings: &[&str], imported: bool) -> Situation {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        Situation::of_file(&RunFile::parse("", "test", &settings).unwrap(), imported)
    }

    #[test]
    fn of_objects_nobody_is_told_of_a_threshold_or_a_training() {
        let settings = ["cluster.way=objects", "pretrain.epochs=0"];
        let objects = situation(&settings, true);
        for advice in ALL {
            let text = advice.text(objects);
            for refused in ["threshold", "attention", "epochs", "--classes"] {
                assert!(!text.contains(refused), "{advice:?}: {text}");
            }
        }
        assert_eq!(Advice::LearnMore.text(objects), OTHER_OBJECTS);
        let mut with_rule = settings.map(String::from).to_vec();
        with_rule.push("threshold.rule={foreground_share=0.3}".into());
        let refused = RunFile::parse("", "test", &with_rule).unwrap_err();
        assert!(
            refused.to_string().contains("threshold.rule"),
            "it is refused: {refused}"
        );
    }

    #[test]
    fn fewer_classes_are_a_choice_for_a_folder_of_images_alone() {
        let tree = situation(&["data.source={layout={path=\"tree\"}}"], false);
        assert_eq!(Advice::FewerClasses.text(tree), "add images");
        let folder = situation(
            &["data.source={pictures={path=\"photos\",classes=5}}"],
            false,
        );
        assert!(Advice::FewerClasses.text(folder).contains("--classes"));
        assert_eq!(
            Advice::LearnMore.text(situation(&["data.source={layout={path=\"tree\"}}"], true)),
            "try another backbone (--backbone NAME=FILE), add images"
        );
    }

    #[test]
    fn nobody_is_told_to_take_a_pretrained_backbone_who_has_one() {
        let [own, imported] = [false, true].map(|imported| situation(&[], imported));
        assert_eq!(Advice::LearnMore.text(own), LEARN_MORE);
        assert!(!Advice::LearnMore.text(imported).contains("pretrained"));
        let few = |of| Advice::FewerClasses.text(of);
        assert_eq!(few(own), few(imported));
    }
}

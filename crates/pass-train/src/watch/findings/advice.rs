//! What helps against a finding, in words that suit the run: nobody is told to take an option that the program refuses.

use serde_json::Value;

use crate::{
    Context, RunFile, Step,
    run_file::{LabelWay, Source},
};

/// What helps where a network has learned too little.
const LEARN_MORE: &str = "begin a new --run with a pretrained backbone (--backbone NAME=FILE), or \
     train longer (--set pretrain.epochs=N --rerun pretrain)";

/// What helps where a frozen backbone tells too little apart.
const OTHER_OBJECTS: &str = "try another `objects.foreground.way` or `objects.layer`, or begin a new --run with \
     another backbone";

/// What helps where maps have values of both signs.
const OTHER_WAY: &str = "for a ViT take --set objects.layer=keys --set \
     'objects.foreground={way=\"normalized_cut\"}'";

/// What helps where there is too little or too much of the foreground.
const FOREGROUND_SHARE: &str = "--set threshold.rule={foreground_share=0.3}";

/// What helps where labels have no foreground.
const WITHOUT_FOREGROUND: &str = "attention or clusters have learned too little for any threshold to beat \
     empty masks; look whether the swapped losses in log.jsonl fell clearly below ln K, train longer, \
     or take a rule that always leaves foreground: \
     --set threshold.rule={foreground_share=0.3}";

/// What to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// What was learned is too little.
    LearnMore,
    /// The same, with what helps against a loss at its value of chance.
    LearnMoreWith(String),
    /// The way to a foreground is for other maps.
    OtherWay,
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
                "begin a new --run with {}, or with another backbone (--backbone NAME=FILE)",
                fewer_classes(of)
            ),
            Self::LearnMore => LEARN_MORE.into(),
            Self::LearnMoreWith(remedy) => format!("{LEARN_MORE}; with {remedy}"),
            Self::OtherWay => OTHER_WAY.into(),
            Self::FewerClasses => format!("begin a new --run with {}", fewer_classes(of)),
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
        true => "fewer classes (--classes) or more images",
        false => "more images",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Advice; 7] = [
        Advice::LearnMore,
        Advice::OtherWay,
        Advice::FewerClasses,
        Advice::MoreForeground,
        Advice::LessForeground,
        Advice::AnyForeground,
        Advice::AnyBackground,
    ];

    const PICTURES: &str = "data.source={pictures={path=\"photos\",classes=5}}";

    fn situation(settings: &[&str], imported: bool) -> Situation {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        Situation::of_file(&RunFile::parse("", "test", &settings).unwrap(), imported)
    }

    #[test]
    fn of_objects_nobody_is_told_of_a_threshold_or_a_training() {
        let settings = ["cluster.way=objects", "pretrain.epochs=0"];
        let objects = situation(&settings, true);
        for advice in ALL {
            for of in [
                objects,
                situation(&[&settings[..], &[PICTURES]].concat(), true),
            ] {
                let text = advice.text(of);
                for refused in ["threshold", "attention", "epochs"] {
                    assert!(!text.contains(refused), "{advice:?}: {text}");
                }
                assert!(
                    of.classes_are_chosen || !text.contains("--classes"),
                    "{text}"
                );
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

    /// A run keeps its images, its classes and its backbone.
    #[test]
    fn what_a_run_refuses_to_change_is_advised_for_a_new_one() {
        for settings in [&[PICTURES][..], &[PICTURES, "cluster.way=objects"], &[]] {
            for advice in ALL {
                for imported in [false, true] {
                    let text = advice.text(situation(settings, imported));
                    for kept in ["--classes", "more images", "backbone"] {
                        let (new, told) = (text.find("a new --run with"), text.find(kept));
                        assert!(told.is_none() || new.is_some() && new < told, "{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn fewer_classes_are_a_choice_for_a_folder_of_images_alone() {
        let tree = situation(&["data.source={layout={path=\"tree\"}}"], false);
        let more = "begin a new --run with more images";
        assert_eq!(Advice::FewerClasses.text(tree), more);
        let folder = situation(&[PICTURES], false);
        assert!(Advice::FewerClasses.text(folder).contains("--classes"));
        assert_eq!(
            Advice::LearnMore.text(situation(&["data.source={layout={path=\"tree\"}}"], true)),
            "begin a new --run with more images, or with another backbone (--backbone NAME=FILE)"
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

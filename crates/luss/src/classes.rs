//! How many categories to discover.

use std::str::FromStr;

use imagenet_s::terminal::show;
use pass_train::step::objects::suggest::suggest_classes;
use pass_train::{Context, step::weights::begin_with_backbone};
use pixel_attention::kmeans::suggest::Suggestion;

use crate::{BackboneFile, OrRefuse};

/// How many categories to discover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes {
    /// As many.
    Number(u16),
    /// As many as the pictures suggest.
    Auto,
}

impl FromStr for Classes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let number = text.parse().map(Self::Number);
        number.map_err(|_| "a number up to 65535, or auto".to_owned())
    }
}

/// Suggests a number by the objects that a pretrained network finds in the pictures of a run.
pub(crate) fn suggest(context: &Context, backbone: &BackboneFile) -> anyhow::Result<u16> {
    begin_with_backbone(context, backbone.path().or_refuse()?).or_refuse()?;
    let suggestion = suggest_classes(context)?;
    if context.speaks() {
        show(format_args!("{}", text_of(&suggestion)))?;
    }
    Ok(u16::try_from(suggestion.clusters).expect("few are tried"))
}

fn text_of(suggestion: &Suggestion) -> String {
    let mut text = "classes  stability  silhouette\n".to_owned();
    for candidate in &suggestion.curve {
        let chosen = if candidate.clusters == suggestion.clusters {
            "  <- suggested"
        } else {
            ""
        };
        text += &format!(
            "{:7}  {:9.3}  {:10.3}{chosen}\n",
            candidate.clusters, candidate.stability, candidate.silhouette
        );
    }
    text + &sentence(suggestion)
}

fn sentence(suggestion: &Suggestion) -> String {
    let clusters = suggestion.clusters;
    if suggestion.reproducible {
        return format!(
            "--classes auto: takes {clusters}. It is a suggestion: what a category is depends on what you want to tell apart; \
             give --classes a number to decide yourself."
        );
    }
    format!(
        "--classes auto: takes {clusters}, but no number of categories was found again in parts of the pictures: none is \
         distinct in these features. Give --classes a number to decide yourself."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_auto() {
        assert_eq!("12".parse(), Ok(Classes::Number(12)));
        assert_eq!("auto".parse(), Ok(Classes::Auto));
        for wrong in ["", "-1", "many", "70000"] {
            assert!(wrong.parse::<Classes>().is_err(), "{wrong}");
        }
    }
}

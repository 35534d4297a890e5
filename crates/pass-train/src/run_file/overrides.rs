//! Settings of the command line on top of a run file: `--set key.of.it=value`.

use serde::Deserialize;
use toml::{Table, Value};

use super::{
    RunFile,
    check::{Fault, check},
    layers::lay_over,
    limits::{Limit, TRAININGS, check_values, limit_of, limits},
};
use crate::Error;

/// Most keys that a message proposes.
const PROPOSED: usize = 5;

/// One setting of the command line.
pub(super) struct Override<'a> {
    /// As it was given.
    text: &'a str,
    key: &'a str,
    document: Table,
}

/// Why a document is no run file.
enum Refusal {
    Value(Fault),
    /// What the types of the sections say.
    Type(String),
}

impl<'a> Override<'a> {
    /// Reads one `key.of.it=value`; a value that is no TOML is a string.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] without a value, and for a key that there is not.
    pub(super) fn read(text: &'a str) -> Result<Self, Error> {
        let refused = |cause: String| Error::Setting {
            setting: text.into(),
            cause,
        };
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| refused("this is no KEY=VALUE".into()))?;
        let key = key.trim();
        if !is_key(key) {
            return Err(refused(no_such_key(key)));
        }
        let mut document = read_value(key, value.trim());
        for part in key.rsplit('.') {
            document = Value::Table(Table::from_iter([(part.to_owned(), document)]));
        }
        match document {
            Value::Table(document) => Ok(Self {
                text,
                key,
                document,
            }),
            _ => unreachable!("a key has at least one part"),
        }
    }
}

/// The run file that `document` is with `overrides` on top; `place` names the document.
///
/// # Errors
///
/// [`Error::Value`] or [`Error::Setting`], which name the overrides where these are at fault.
pub(super) fn with_overrides(
    document: &Table,
    overrides: &[Override],
    place: &str,
) -> Result<RunFile, Error> {
    let all: Vec<&Override> = overrides.iter().collect();
    laid_over(document, &all).map_err(|refusal| {
        let blamed = blamed(document, &all, &refusal);
        match (refusal, blamed.as_str()) {
            (Refusal::Value(fault), "") => fault.at(place),
            (Refusal::Value(fault), settings) => fault.at(&format!("--set {settings}")),
            (Refusal::Type(cause), "") => Error::RunFile {
                path: place.into(),
                cause,
            },
            (Refusal::Type(cause), _) => Error::Setting {
                setting: blamed,
                cause,
            },
        }
    })
}

fn laid_over(document: &Table, overrides: &[&Override]) -> Result<RunFile, Refusal> {
    let mut table = document.clone();
    for setting in overrides {
        lay_over(&mut table, setting.document.clone());
    }
    take_epochs_as_given(&mut table, overrides);
    check_values(&table).map_err(Refusal::Value)?;
    let file = RunFile::deserialize(table.clone());
    let file = file.map_err(|cause| Refusal::Type(cause.to_string()))?;
    check(&file, &table).map_err(Refusal::Value)?;
    Ok(file)
}

/// Whoever names epochs means them: without a word on `least_updates` that no longer raises them.
fn take_epochs_as_given(table: &mut Table, overrides: &[&Override]) {
    let names = |key: String| overrides.iter().any(|setting| setting.key == key);
    for section in TRAININGS {
        let given =
            names(format!("{section}.epochs")) && !names(format!("{section}.least_updates"));
        if let Some(Value::Table(section)) = table.get_mut(*section).filter(|_| given) {
            section.insert("least_updates".into(), Value::Integer(0));
        }
    }
}

/// The overrides that are at fault, as they were given; none where the document is.
fn blamed(document: &Table, overrides: &[&Override], refusal: &Refusal) -> String {
    let concerned = |setting: &&&Override| match refusal {
        Refusal::Value(fault) => is_below(&fault.key, setting.key),
        Refusal::Type(_) => false,
    };
    let sound_without = |index: usize| {
        let others = overrides.iter().enumerate();
        let others = others.filter_map(|(at, &other)| (at != index).then_some(other));
        laid_over(document, &others.collect::<Vec<_>>()).is_ok()
    };
    let mut blamed: Vec<&str> = Vec::new();
    blamed.extend(
        overrides
            .iter()
            .filter(concerned)
            .map(|of| of.text)
            .next_back(),
    );
    if blamed.is_empty() {
        let culprits = (0..overrides.len()).filter(|&index| sound_without(index));
        blamed.extend(culprits.map(|index| overrides[index].text));
    }
    if blamed.is_empty() && laid_over(document, &[]).is_ok() {
        blamed.extend(overrides.iter().map(|of| of.text));
    }
    blamed.join(" --set ")
}

/// Whether `key` is the setting `section`, or one of its settings.
fn is_below(key: &str, section: &str) -> bool {
    let rest = key.strip_prefix(section);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Whether there is such a setting, or a section of settings.
fn is_key(key: &str) -> bool {
    // Families of backbones have keys of their own, which their types know.
    let of_family = key.starts_with("network.backbone.");
    of_family || !key.is_empty() && limits().iter().any(|(known, _)| is_below(known, key))
}

/// A number is read as TOML does, and a little more freely; what is no TOML is a string.
fn read_value(key: &str, text: &str) -> Value {
    let read = toml::from_str::<Table>(&format!("value = {text}"));
    let alone = read.ok().filter(|table| table.len() == 1);
    let value = alone.and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| match (limit_of(key), text.parse()) {
        (Some(Limit::Whole(..) | Limit::Real(..)), Ok(number)) => Value::Float(number),
        _ => Value::String(text.into()),
    })
}

/// Names the settings that may have been meant.
fn no_such_key(key: &str) -> String {
    let mut near: Vec<(f64, String)> = keys_and_sections()
        .into_iter()
        .map(|known| (likeness(key, &known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0)); // stable: in the order of a run file
    let near = near.into_iter().take(PROPOSED).map(|(_, known)| known);
    let near: Vec<String> = near.collect();
    let meant = match near.is_empty() {
        true => "docs/PIPELINE.md lists them all".to_owned(),
        false => format!("did you mean {}?", near.join(", ")),
    };
    format!("there is no setting `{key}`; {meant}")
}

/// Every key and every section that `--set` can name.
fn keys_and_sections() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (key, _) in limits() {
        let settable = key.split("[]").next().unwrap_or(key);
        let ends = settable.match_indices('.').map(|(end, _)| end);
        let names = ends.chain([settable.len()]).map(|end| &settable[..end]);
        for name in names {
            if !all.iter().any(|known| known == name) {
                all.push(name.to_owned());
            }
        }
    }
    all
}

/// How like a known key is, 0 to 1: as a whole, or in its last part.
fn likeness(key: &str, known: &str) -> f64 {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let whole = strsim::jaro_winkler(key, known);
    let (own, of_known) = (last(key), last(known));
    let in_last_part = match own.len() > 1 && of_known.contains(&own) {
        true => 0.9 + 0.1 * own.len() as f64 / of_known.len() as f64,
        false => strsim::normalized_damerau_levenshtein(&own, &of_known),
    };
    whole.max(in_last_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[cluster]\nresize = 64\ncrop = 32";

    fn parsed(settings: &[&str]) -> Result<RunFile, Error> {
        let settings: Vec<String> = settings.iter().map(|text| text.to_string()).collect();
        RunFile::parse(FILE, "my.toml", &settings)
    }

    #[track_caller]
    fn refused(settings: &[&str], start: &str, fragment: &str) {
        let said = parsed(settings).unwrap_err().to_string();
        assert!(said.starts_with(start), "no {start:?} before {said:?}");
        assert!(said.contains(fragment), "no {fragment:?} in {said:?}");
        assert!(!said.contains("my.toml"), "{said}");
    }

    #[test]
    fn settings_of_a_backbone_are_those_of_its_family() {
        let backbone = |settings: &[&str]| parsed(settings).unwrap().network.backbone.describe();
        let family = "network.backbone.family=res2net";
        let described = backbone(&[family, "network.backbone.deep_stem=true"]);
        assert!(described.contains("deep stem"), "{described}");
        let described = backbone(&["network.backbone={ family = 'densenet', growth = 8 }"]);
        assert!(described.contains("growth 8"), "{described}");
        let odd = "network.backbone.width=7";
        refused(
            &["network.backbone.family=inception", odd],
            &format!("--set {odd}: "),
            "even number",
        );
        let unknown = "network.backbone.widht=3";
        refused(&[unknown], &format!("--set {unknown}: "), "unknown field");
    }

    #[test]
    fn a_fault_of_an_override_is_blamed_on_it() {
        let sound = "seed=3";
        for (setting, fragment) in [
            ("pretrain.batch=1", "a whole number, 2 to 65536"),
            ("pretrain.epochs=three", "a whole number"),
            ("pretrain.epochs=99999999999999999999", "a whole number"),
            ("pretrain.epochs=-1", "a whole number"),
            ("pretrain.epochs=1.5", "a whole number"),
            ("finetune.optim.momentum=NaN", "a number, 0 to"),
            ("pretrain.p2p=maybe", "boolean"),
            ("pretrain.method=pass_q", "pass_s"),
            ("pretrain=3", "struct"),
            ("cluster.crop=65", "`cluster.resize`"),
            ("cluster.resize=31", "`cluster.crop` = 32"),
            ("pretrain.views.groups=[]", "pretrain.views"),
            ("seed", "KEY=VALUE"),
            ("=3", "no setting"),
        ] {
            refused(&[sound, setting], &format!("--set {setting}: "), fragment);
        }
    }

    #[test]
    fn overrides_that_are_at_fault_together_are_named_together() {
        let pair = ["cluster.crop=48", "cluster.resize=47"];
        refused(
            &["seed=1", pair[0], pair[1]],
            "--set cluster.crop=48",
            "must be",
        );
        let path = "data.source.layout.path=a";
        assert!(parsed(&[path, "pretrain.batch=8"]).is_ok());
        let said = RunFile::parse(
            "seed = 1\n[network]\nhidden = 0",
            "my.toml",
            &["seed=2".into()],
        );
        let said = said.unwrap_err().to_string();
        assert!(
            said.starts_with("run file my.toml: `network.hidden` = 0"),
            "{said}"
        );
        let mended = RunFile::parse(
            "[network]\nhidden = 0",
            "my.toml",
            &["network.hidden=2".into()],
        );
        assert_eq!(mended.unwrap().network.hidden, 2);
    }

    #[test]
    fn a_mistyped_key_is_answered_with_those_that_may_be_meant() {
        for (setting, meant) in [
            (
                "epochs=3",
                "did you mean pretrain.epochs, attention.epochs, finetune.epochs",
            ),
            ("pretrain.epoch=3", "did you mean pretrain.epochs"),
            ("lr=1", "optim.base_lr"),
            ("finetune.optim.base-lr=1", "finetune.optim.base_lr"),
            ("threshhold.rule=otsu", "threshold.rule"),
            ("groups=[]", "pretrain.views.groups"),
            ("qqq=1", "docs/PIPELINE.md"),
        ] {
            refused(
                &[setting],
                &format!("--set {setting}: there is no setting"),
                meant,
            );
        }
    }

    #[test]
    fn values_may_be_toml_words_or_plain_numbers() {
        let file = parsed(&[
            "pretrain.optim.base_lr=.5",
            "pretrain.method = pass_s",
            "data.pack=a=b",
            "pretrain.optim.momentum=0",
        ])
        .unwrap();
        assert_eq!(file.pretrain.optim.base_lr, 0.5);
        assert_eq!(file.data.pack.unwrap().to_str(), Some("a=b"));
        refused(
            &["seed=1\nprecision = 'float16'"],
            "--set seed",
            "a whole number",
        );
    }
}

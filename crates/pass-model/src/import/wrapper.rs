//! What programs wrap around the keys of a network in a file.
//!
//! | weights | wrapper |
//! |---|---|
//! | PASS, SwAV | `state_dict`, `module.` |
//! | MoCo, AdCo, PCL | `state_dict`, `module.encoder_q.` |
//! | DenseCL, Barlow Twins, VICReg, DINO's backbones | none |
//! | MoCo v3 | `state_dict`, `module.base_encoder.` |
//! | SimSiam | `state_dict`, `module.encoder.` |
//! | PixPro | `model`, `module.encoder.` |
//! | DINO | `teacher`, `module.backbone.` |
//! | mmpretrain, Lightning, `torch.compile` | `state_dict`, `backbone.`, `model.`, `_orig_mod.` |

use std::collections::BTreeMap;

use burn::store::burn_pack::Tensor as StoredTensor;

/// What may stand before all keys, in any depth; of several the first is taken.
const WRAPPERS: [&str; 11] = [
    "state_dict.",
    "model_state_dict.",
    "teacher.",
    "model.",
    "module.",
    "_orig_mod.",
    "encoder_q.",
    "base_encoder.",
    "encoder.",
    "backbone.",
    "net.",
];

/// The tensors of a network, taken out of what was around them.
pub(super) struct Unwrapped<T = StoredTensor> {
    pub(super) stored: BTreeMap<String, T>,
    /// What was taken off.
    pub(super) wrapper: String,
    /// Tensors beside it.
    pub(super) outside: usize,
    /// What is still around the wanted tensors.
    pub(super) unknown: Option<String>,
}

/// Takes off the known wrappers behind which there is one of the `wanted` keys.
pub(super) fn unwrap<T>(stored: BTreeMap<String, T>, wanted: &[String]) -> Unwrapped<T> {
    let wrapper = wrapper_of(&stored, "", wanted).unwrap_or_default();
    let unknown = unknown_wrapper(&stored, &wrapper, wanted);
    let all = stored.len();
    let bare = |(key, tensor): (String, T)| Some((key.strip_prefix(&wrapper)?.to_owned(), tensor));
    let stored: BTreeMap<String, T> = stored.into_iter().filter_map(bare).collect();
    Unwrapped {
        outside: all - stored.len(),
        stored,
        wrapper,
        unknown,
    }
}

/// The first combination of known wrappers, from `outer` on, that leads to a wanted key.
fn wrapper_of<T>(stored: &BTreeMap<String, T>, outer: &str, wanted: &[String]) -> Option<String> {
    if holds_any(stored, outer, wanted) {
        return Some(outer.to_owned());
    }
    let deeper = WRAPPERS.map(|next| format!("{outer}{next}"));
    let is_there = |prefix: &&String| stored.keys().any(|key| key.starts_with(*prefix));
    let mut deeper = deeper.iter().filter(is_there);
    deeper.find_map(|prefix| wrapper_of(stored, prefix, wanted))
}

/// Every combination of known wrappers that precedes keys of a file, the empty one first.
pub(super) fn nested<T>(stored: &BTreeMap<String, T>) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut next = 0;
    while next < all.len() {
        let deeper = WRAPPERS.map(|wrapper| format!("{}{wrapper}", all[next]));
        let is_there = |prefix: &String| stored.keys().any(|key| key.starts_with(prefix));
        all.extend(deeper.into_iter().filter(is_there));
        next += 1;
    }
    all
}

fn holds_any<T>(stored: &BTreeMap<String, T>, wrapper: &str, wanted: &[String]) -> bool {
    wanted
        .iter()
        .any(|key| stored.contains_key(&format!("{wrapper}{key}")))
}

/// What precedes the first wanted key, unless the known `wrapper` leads to one.
fn unknown_wrapper<T>(
    stored: &BTreeMap<String, T>,
    wrapper: &str,
    wanted: &[String],
) -> Option<String> {
    if holds_any(stored, wrapper, wanted) {
        return None;
    }
    let first = wanted.first()?;
    let before = |key: &String| Some(key.strip_suffix(first.as_str())?.to_owned());
    let before = stored.keys().filter_map(before);
    before.filter(|prefix| prefix.ends_with('.')).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrapped(keys: &[&str]) -> Unwrapped<()> {
        let wanted = ["conv1.weight", "layer1.0.conv1.weight"].map(String::from);
        let stored = keys.iter().map(|key| (key.to_string(), ())).collect();
        unwrap(stored, &wanted)
    }

    #[test]
    fn published_wrappers_are_taken_off() {
        for wrapper in [
            "",
            "module.",
            "state_dict.module.",
            "model.",
            "state_dict.module.encoder_q.",
            "state_dict.module.base_encoder.",
            "model.module.encoder.",
            "teacher.module.backbone.",
            "state_dict.backbone.",
            "_orig_mod.",
        ] {
            let key = format!("{wrapper}conv1.weight");
            let found = unwrapped(&[
                &key,
                "optimizer.lr",
                "state_dict.module.encoder_k.conv1.weight",
            ]);
            assert_eq!(found.wrapper, wrapper);
            assert!(found.stored.contains_key("conv1.weight"), "{wrapper}");
        }
        let both = ["model.encoder_k.conv1.weight", "model.encoder.conv1.weight"];
        let found = unwrapped(&both);
        assert_eq!(
            (found.wrapper.as_str(), found.outside),
            ("model.encoder.", 1)
        );
    }

    #[test]
    fn every_wrapper_around_a_key_is_found() {
        let stored = ["teacher.module.backbone.cls_token", "student.x", "model.y"];
        let stored = stored.map(|key| (key.to_owned(), ())).into();
        let expected = [
            "",
            "teacher.",
            "model.",
            "teacher.module.",
            "teacher.module.backbone.",
        ];
        assert_eq!(nested(&stored), expected);
    }

    #[test]
    fn a_wrapper_that_is_not_known_is_named() {
        let found = unwrapped(&["trunk.conv1.weight", "trunk.layer1.0.conv1.weight", "a"]);
        assert_eq!(found.unknown.as_deref(), Some("trunk."));
        assert_eq!(unwrapped(&["module.fc.weight"]).unknown, None);
        assert_eq!(unwrapped(&["myconv1.weight"]).unknown, None);
    }
}

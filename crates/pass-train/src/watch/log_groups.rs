//! Which numbers of the log belong together: one chart, one heading in TensorBoard.

/// The group of a value's name: what stands before its slash; else the rate, the waiting for
/// pictures, or, as a step's own terms have no slash, the loss.
pub(crate) fn group_of(name: &str) -> &str {
    match name.split_once('/') {
        Some((group, _)) => group,
        None if name == "lr" => "rate",
        None if name == "waiting" => "time",
        None => "loss",
    }
}

/// The name within its group.
pub(crate) fn name_in_group(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, rest)| rest)
}

/// What the number of this name counts or measures: the label of its axis. A number that is not known
/// is labelled with its name.
pub(crate) fn unit_of(name: &str) -> &str {
    match (group_of(name), name_in_group(name)) {
        ("loss", _) => "loss",
        ("rate", _) => "learning rate",
        ("time", _) => "share of the time",
        ("probe", _) => "share of images",
        (_, name) if name.ends_with("_mib") => "MiB",
        (_, name) if name.ends_with("_norm") => "Euclidean norm",
        (_, name) if name.ends_with("_entropy") => "nats",
        (_, name) if name.ends_with("_spread") => "variance, 0 to 1",
        (_, "prototypes_used" | "prototype_perplexity") => "prototypes",
        (_, "loss_over_ln_k") => "ratio to ln K",
        (_, "feature_variance_min") => "variance times dimensions",
        (_, "feature_dimensions") => "dimensions",
        (_, "no_overlap") => "share of images",
        (_, "loss_scale") => "factor",
        (_, "skipped_updates") => "updates",
        (_, name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_group_and_the_rest() {
        let parts = |name| (group_of(name), name_in_group(name));
        assert_eq!(parts("health/update_norm"), ("health", "update_norm"));
        assert_eq!(parts("probe/knn/top1"), ("probe", "knn/top1"));
        assert_eq!(parts("lr"), ("rate", "lr"));
        assert_eq!(parts("waiting"), ("time", "waiting"));
        assert_eq!(parts("p2p"), ("loss", "p2p"));
    }

    #[test]
    fn every_axis_has_a_unit_or_the_name_of_its_number() {
        assert_eq!(unit_of("health/memory_peak_mib"), "MiB");
        assert_eq!(unit_of("health/update_norm"), "Euclidean norm");
        assert_eq!(unit_of("lr"), "learning rate");
        assert_eq!(unit_of("own/pearls"), "pearls");
    }
}

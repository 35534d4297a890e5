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
}

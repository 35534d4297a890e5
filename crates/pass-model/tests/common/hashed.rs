//! Numbers that any program can make: values of tensors by a hash of their numbers (SplitMix64).

/// Value `index` of tensor `tensor`, in `0..1`.
pub(crate) fn uniform(tensor: u64, index: u64) -> f64 {
    let mut z = ((tensor << 32) + index).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// The values of a tensor.
pub(crate) fn values(number: u64, key: &str, shape: &[usize]) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let last = key.rsplit('.').next().unwrap();
    let is_scale = ["running_var", "gamma", "layer_scale"].contains(&last)
        || (last == "weight" && shape.len() == 1);
    let bound = (3.0 * shape.first().map_or(1.0, |&n| n as f64) / count as f64).sqrt();
    let value = |index| {
        let u = uniform(number, index);
        match last {
            _ if is_scale => 0.5 + u,
            "weight" | "in_proj_weight" => (2.0 * u - 1.0) * bound,
            _ => 0.2 * (2.0 * u - 1.0),
        }
    };
    (0..count as u64).map(|index| value(index) as f32).collect()
}

//! The steps of k-means as tensor operations of burn.

use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor};

use super::engine::Table;

/// The nearest centroid of each point, `[points]`, of equal ones the first.
pub(super) fn nearest(points: Tensor<2>, table: &Table) -> Tensor<1, Int> {
    let [count, _] = points.dims();
    let products = points.matmul(table.centroids.clone().transpose());
    let scores = products - table.offsets.clone().unsqueeze_dim(0); // [points, clusters]
    scores.argmax(1).reshape([count])
}

/// Adds each point to the sum of its cluster; `totals` is `[2, clusters, D]`, sums and what did not
/// fit into them.
pub(super) fn add(totals: Tensor<3>, points: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<3> {
    let [_, clusters, dim] = totals.dims();
    let part = |index| {
        let part = totals.clone().narrow(0, index, 1);
        part.reshape([clusters, dim])
    };
    let (high, low) = (part(0), part(1));
    let chunk = Tensor::zeros([clusters, dim], (&points.device(), DType::F32));
    let chunk = chunk.select_assign(0, labels, points, IndexingUpdateOp::Add);
    let (high, low) = add_both(high, low, chunk);
    Tensor::stack(vec![high, low], 0)
}

/// `high + low + value` in two numbers again. Knuth's TwoSum keeps what the first addition loses,
/// Dekker's puts back as much of it as fits.
fn add_both(high: Tensor<2>, low: Tensor<2>, value: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    // A number that no compiler knows: somewhere on the way to a device
    // `(a + b) - a` may be taken for `b`; on Mesa's software Vulkan the rest was lost without this.
    let one = Tensor::<2>::from_data([[1.0f32]], (&high.device(), DType::F32));
    let sum = (high.clone() + value.clone()) * one.clone();
    let value_there = (sum.clone() - high.clone()) * one.clone();
    let high_there = (sum.clone() - value_there.clone()) * one.clone();
    let lost = (high - high_there) + (value - value_there) + low;
    let high = (sum.clone() + lost.clone()) * one.clone();
    let low = lost - (high.clone() - sum) * one;
    (high, low)
}

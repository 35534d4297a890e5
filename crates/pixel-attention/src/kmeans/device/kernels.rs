//! Kernels for every CubeCL runtime (CUDA, Vulkan, Metal) from one source.
//!
//! **Nearest centroid.** A work group of 16 x 16 units takes 128 points and goes through the
//! centroids 128 at a time. Slices of 8 columns of both pass through shared memory; each unit
//! adds up 8 x 8 products in its registers, column after column as the host does, and compares
//! them there. What leaves the work group are 128 labels: 4 bytes a point, where a product that is
//! stored and searched moves 8 K.
//!
//! **Sums.** Points come in the order of their clusters, so that each unit adds up one column of
//! one cluster alone, without atomic operations and in a defined order. Every point is read once.

use burn::{
    backend::{
        Backend, Dispatch, backend_extension,
        tensor::{FloatTensor, IntTensor},
    },
    tensor::{DType, Device, Int, Shape, Tensor as BurnTensor, TensorData},
};
use burn_cubecl::{
    CubeBackend,
    cubecl::{self, prelude::*},
    kernel::into_contiguous,
    ops::numeric::empty_device_dtype,
    tensor::CubeTensor,
};

use super::engine::Table;
use crate::kmeans::sums::by_cluster;

/// Units of a work group along each side.
const SIDE: usize = 16;

/// Points, and centroids, of each unit.
const EACH: usize = 8;

/// Points, and centroids, of a work group at a time.
const TILE: usize = SIDE * EACH;

/// Columns that are in shared memory at a time.
const SLICE: usize = 8;

/// Values of a slice that each unit brings.
const LOADS: usize = SLICE * TILE / (SIDE * SIDE);

/// Length of a column of a slice in shared memory: odd, so that the writes of a slice, which run
/// down its columns, do not all fall into one memory bank.
const PITCH: usize = TILE + 1;

/// Units of a work group of the sums, each with a column.
const COLUMNS: usize = 64;

/// Work groups along one axis that every device takes.
const MOST_GROUPS: usize = 1 << 15;

/// The nearest centroid of each point, of equal ones the first.
pub(super) fn nearest(points: BurnTensor<2>, table: &Table) -> BurnTensor<1, Int> {
    let (centroids, offsets) = (table.centroids.clone(), table.offsets.clone());
    BurnTensor::from_dispatch(Dispatch::nearest_centroids(
        points.into_dispatch(),
        centroids.into_dispatch(),
        offsets.into_dispatch(),
    ))
}

/// Adds each point to the sum of its cluster; `totals` is `[2, clusters, D]`, sums and what their
/// additions lost.
pub(super) fn add(totals: BurnTensor<3>, points: BurnTensor<2>, labels: &[u32]) -> BurnTensor<3> {
    let [_, clusters, _] = totals.dims();
    let items = labels
        .iter()
        .zip(0i32..)
        .map(|(&label, point)| (label, point));
    let (order, starts) = by_cluster(items, clusters);
    let starts = starts.into_iter().map(|start| start as i32).collect();
    let device = points.device();
    BurnTensor::from_dispatch(Dispatch::add_sorted(
        totals.into_dispatch(),
        points.into_dispatch(),
        upload(order, &device).into_dispatch(),
        upload(starts, &device).into_dispatch(),
    ))
}

fn upload(values: Vec<i32>, device: &Device) -> BurnTensor<1, Int> {
    let count = values.len();
    BurnTensor::from_data(TensorData::new(values, [count]), (device, DType::I32))
}

/// The kernels as operations of a backend.
#[backend_extension(Cube, Fusion)]
trait KMeansKernels: Backend {
    /// Labels `[points]` of `points` `[points, D]` by `centroids` `[clusters, D]` and `offsets`
    /// `[clusters]`.
    #[fusion(dtype = DType::I32, shape = Shape::new([points[0]]))]
    fn nearest_centroids(
        points: FloatTensor<Self>,
        centroids: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
    ) -> IntTensor<Self>;

    /// `totals` and the points, whose clusters are the stretches of `order` between `starts`.
    #[fusion(dtype = totals, shape = totals)]
    fn add_sorted(
        totals: FloatTensor<Self>,
        points: FloatTensor<Self>,
        order: IntTensor<Self>,
        starts: IntTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl KMeansKernels for CubeBackend {
    fn nearest_centroids(
        points: FloatTensor<Self>,
        centroids: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
    ) -> IntTensor<Self> {
        let (points, centroids) = (into_contiguous(points), into_contiguous(centroids));
        let count = points.meta.shape()[0];
        let labels = empty_like(&points, [count].into(), DType::I32);
        let groups = CubeCount::Static(count.div_ceil(TILE) as u32, 1, 1);
        let client = points.client.clone();
        nearest_kernel::launch(
            &client,
            groups,
            CubeDim::new_2d(SIDE as u32, SIDE as u32),
            points.into_tensor_arg(),
            centroids.into_tensor_arg(),
            offsets.into_tensor_arg(),
            labels.clone().into_tensor_arg(),
        );
        labels
    }

    fn add_sorted(
        totals: FloatTensor<Self>,
        points: FloatTensor<Self>,
        order: IntTensor<Self>,
        starts: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let (totals, points) = (into_contiguous(totals), into_contiguous(points));
        let shape = totals.meta.shape().clone();
        let [clusters, dim] = [shape[1], shape[2]];
        let output = empty_like(&totals, shape, DType::F32);
        let groups = CubeCount::Static(
            dim.div_ceil(COLUMNS) as u32,
            clusters.min(MOST_GROUPS) as u32,
            clusters.div_ceil(MOST_GROUPS) as u32,
        );
        let client = points.client.clone();
        add_kernel::launch(
            &client,
            groups,
            CubeDim::new_1d(COLUMNS as u32),
            totals.into_tensor_arg(),
            points.into_tensor_arg(),
            order.into_tensor_arg(),
            starts.into_tensor_arg(),
            output.clone().into_tensor_arg(),
            1.0,
        );
        output
    }
}

fn empty_like(tensor: &CubeTensor, shape: Shape, dtype: DType) -> CubeTensor {
    empty_device_dtype(tensor.client.clone(), tensor.device.clone(), shape, dtype)
}

/// Unit (x, y) has the points `y * EACH..` and the centroids `x`, `x + SIDE`, … of each tile, so
/// that neighbours read neighbouring centroids.
#[cube(launch)]
fn nearest_kernel(
    points: &Tensor<f32>,
    centroids: &Tensor<f32>,
    offsets: &Tensor<f32>,
    labels: &mut Tensor<i32>,
) {
    let mut slices = Shared::<[f32]>::new_slice(2 * SLICE * PITCH);
    let mut ids = Shared::<[u32]>::new_slice(SIDE * TILE);
    let x = UNIT_POS_X as usize;
    let y = UNIT_POS_Y as usize;
    let unit = y * SIDE + x;
    let first_point = CUBE_POS_X as usize * TILE;
    let clusters = centroids.shape(0);
    let dim = centroids.shape(1);

    let mut best = Array::<f32>::new(EACH);
    let mut best_id = Array::<u32>::new(EACH);
    #[unroll]
    for i in 0..EACH {
        best[i] = f32::new(-3.402_823_4e38);
        best_id[i] = 0u32;
    }

    for tile in 0..clusters.div_ceil(TILE) {
        let first_centroid = tile * TILE;
        let mut scores = Array::<f32>::new(EACH * EACH);
        #[unroll]
        for i in 0..EACH * EACH {
            scores[i] = 0.0f32;
        }
        for slice in 0..dim.div_ceil(SLICE) {
            #[unroll]
            for round in 0..LOADS {
                let place = round * SIDE * SIDE + unit;
                let row = place / SLICE;
                let within = place % SLICE;
                let column = slice * SLICE + within;
                let place = within * PITCH + row;
                slices[place] = value_or_zero(points, first_point + row, column);
                slices[SLICE * PITCH + place] =
                    value_or_zero(centroids, first_centroid + row, column);
            }
            sync_cube();
            #[unroll]
            for column in 0..SLICE {
                let mut c = Array::<f32>::new(EACH);
                #[unroll]
                for j in 0..EACH {
                    c[j] = slices[(SLICE + column) * PITCH + x + j * SIDE];
                }
                #[unroll]
                for i in 0..EACH {
                    let p = slices[column * PITCH + y * EACH + i];
                    #[unroll]
                    for j in 0..EACH {
                        scores[i * EACH + j] = fma(p, c[j], scores[i * EACH + j]);
                    }
                }
            }
            sync_cube();
        }
        // Ascending, and only a larger score wins: of equal ones the first.
        #[unroll]
        for j in 0..EACH {
            let centroid = first_centroid + x + j * SIDE;
            if centroid < clusters {
                let offset = offsets[centroid];
                #[unroll]
                for i in 0..EACH {
                    let score = scores[i * EACH + j] - offset;
                    if score > best[i] {
                        best[i] = score;
                        best_id[i] = centroid as u32;
                    }
                }
            }
        }
    }

    // The slices are no longer needed: their memory takes the best score of each unit.
    #[unroll]
    for i in 0..EACH {
        slices[(y * EACH + i) * SIDE + x] = best[i];
        ids[(y * EACH + i) * SIDE + x] = best_id[i];
    }
    sync_cube();
    let point = first_point + unit;
    if unit < TILE && point < points.shape(0) {
        let mut score = slices[unit * SIDE];
        let mut id = ids[unit * SIDE];
        for other in 1..SIDE {
            let other_score = slices[unit * SIDE + other];
            let other_id = ids[unit * SIDE + other];
            if other_score > score || (other_score == score && other_id < id) {
                score = other_score;
                id = other_id;
            }
        }
        labels[point] = id as i32;
    }
}

/// Zero beyond the last row or column.
#[cube]
fn value_or_zero(rows: &Tensor<f32>, row: usize, column: usize) -> f32 {
    let mut value = 0.0f32;
    if row < rows.shape(0) && column < rows.shape(1) {
        value = rows[row * rows.stride(0) + column];
    }
    value
}

/// Each unit has one column of one cluster. `one` is 1, which no compiler knows: somewhere on the
/// way to a device `(a + b) - a` may be taken for `b`.
#[cube(launch)]
fn add_kernel(
    totals: &Tensor<f32>,
    points: &Tensor<f32>,
    order: &Tensor<i32>,
    starts: &Tensor<i32>,
    output: &mut Tensor<f32>,
    one: f32,
) {
    let column = ABSOLUTE_POS_X as usize;
    let cluster = CUBE_POS_Z as usize * MOST_GROUPS + CUBE_POS_Y as usize;
    if column >= totals.shape(2) || cluster >= totals.shape(1) {
        terminate!();
    }
    let place = cluster * totals.stride(1) + column;
    let mut high = totals[place];
    let mut low = totals[place + totals.stride(0)];
    for index in starts[cluster] as usize..starts[cluster + 1] as usize {
        let value = points[order[index] as usize * points.stride(0) + column];
        // Knuth's TwoSum: what the addition loses is kept, and goes back into the sum as far as
        // that has room for it (Dekker).
        let sum = (high + value) * one;
        let value_there = (sum - high) * one;
        let high_there = (sum - value_there) * one;
        let lost = (high - high_there) + (value - value_there) + low;
        high = (sum + lost) * one;
        low = lost - (high - sum) * one;
    }
    let place = cluster * output.stride(1) + column;
    let low_place = place + output.stride(0);
    output[place] = high;
    output[low_place] = low;
}

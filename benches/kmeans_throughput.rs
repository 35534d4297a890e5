//! How long an iteration of k-means takes on a device, beside the matrix product in it.

use pass_model::group::Group;
use std::{cell::RefCell, time::Instant};

use anyhow::Context as _;
use burn::tensor::{DType, Device, Tensor, TensorData};
use clap::Parser;
use imagenet_s::terminal::show;
use luss_benches::device_named;
use pixel_attention::{
    kmeans::{
        KMeans, KMeansConfig, Update,
        device::{Compute, DeviceOptions},
    },
    rows::Rows,
};
use rayon::prelude::*;

/// Time of an iteration of k-means on a device, for each way to compute it, and of the product of
/// all points with all centroids through burn.
///
/// The points are made as they are read: groups with noise, no file and no memory of the host. The
/// first iteration is left out, since kernels are compiled in it. The defaults are ImageNet-S919:
/// 1.2 million embeddings of a ResNet-50, 9.2 GiB on the device.
#[derive(Parser)]
struct Cli {
    /// cpu, cuda, cuda:N or wgpu, as far as they were built in.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Points N.
    #[arg(long, default_value_t = 1_200_000)]
    points: usize,
    /// Columns D.
    #[arg(long, default_value_t = 2048)]
    columns: usize,
    /// Clusters K.
    #[arg(long, default_value_t = 919)]
    clusters: usize,
    /// Iterations that are measured.
    #[arg(long, default_value_t = 5)]
    iterations: usize,
    /// Points stay on the device up to this many GiB; 0 streams them.
    #[arg(long, default_value_t = 12)]
    resident_gib: usize,
    /// Ways to compute, by commas: operations, sorted_sums, fused. Left out: the one that a run
    /// would take.
    #[arg(long, value_delimiter = ',', value_parser = compute_named)]
    compute: Vec<Compute>,
}

fn compute_named(name: &str) -> Result<Compute, String> {
    let all = [Compute::Operations, Compute::SortedSums, Compute::Fused];
    let found = all.into_iter().find(|way| way.to_string() == name);
    found.ok_or_else(|| "use operations, sorted_sums or fused".into())
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let device = device_named(&cli.device);
    let points = Generated {
        points: cli.points,
        columns: cli.columns,
        clusters: cli.clusters,
    };
    let (n, d, k) = (cli.points, cli.columns, cli.clusters);
    show(format_args!(
        "{n} points x {d}, {k} clusters, on {}",
        cli.device
    ))?;
    let product = product_seconds(&cli, &device)?;
    let flops = 2.0 * n as f64 * d as f64 * k as f64;
    let rate = flops / product / 1e12;
    show(format_args!(
        "product of all points with all centroids, by burn: {product:.4} s, {rate:.2} TFLOP/s"
    ))?;
    let ways = match &cli.compute[..] {
        [] => vec![None],
        ways => ways.iter().copied().map(Some).collect(),
    };
    for compute in ways {
        measure(&cli, &points, &device, compute, product)?;
    }
    Ok(())
}

fn measure(
    cli: &Cli,
    points: &Generated,
    device: &Device,
    compute: Option<Compute>,
    product: f64,
) -> anyhow::Result<()> {
    let config = KMeansConfig {
        iterations: cli.iterations + 1,
        restarts: 1,
        ..KMeansConfig::new(cli.clusters)
    };
    let options = DeviceOptions {
        resident_bytes: cli.resident_gib << 30,
        compute,
        ..DeviceOptions::default()
    };
    let started = Instant::now();
    let kmeans = KMeans::on_device(points, &config, device, &options, &Group::default())?;
    show(format_args!(
        "\n{}",
        kmeans.device_plan().context("it is on a device")?
    ))?;
    show(format_args!(
        "checked and uploaded in {:.1} s",
        started.elapsed().as_secs_f64()
    ))?;
    let ends = RefCell::new(Vec::new());
    let watch = |update: &Update| {
        ends.borrow_mut().push(Instant::now());
        // A full disk shows at the next line.
        let _ = show(format_args!(
            "iteration {}: inertia {:.6e}",
            update.iteration, update.inertia
        ));
    };
    kmeans.watched_by(&watch).restart(0)?;
    let ends = ends.into_inner();
    // Assignments: the first centroids', the first update's (both may compile), and the others.
    let mut seconds: Vec<f64> = ends
        .windows(2)
        .skip(1)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64())
        .collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds.get(seconds.len() / 2);
    let median =
        median.context("the run came to rest in its first iteration; take more clusters")?;
    show(format_args!(
        "an iteration: {median:.4} s, median of {}; the product alone is {:.0} % of it",
        seconds.len(),
        100.0 * product / median
    ))?;
    Ok(())
}

/// The product of the shape of an assignment, chunk by chunk, whose results are not kept.
fn product_seconds(cli: &Cli, device: &Device) -> anyhow::Result<f64> {
    let rows = cli.points.min(1 << 15);
    let tensor = |rows: usize| {
        let values = (0..rows * cli.columns).into_par_iter();
        let values: Vec<f32> = values.map(|index| unit(index as u64)).collect();
        let data = TensorData::new(values, [rows, cli.columns]);
        Tensor::<2>::from_data(data, (device, DType::F32))
    };
    let (points, centroids) = (tensor(rows), tensor(cli.clusters).transpose());
    let once = || {
        for _ in 0..cli.points.div_ceil(rows) {
            drop(points.clone().matmul(centroids.clone()));
        }
        device.sync()
    };
    once()?; // compiles and tunes
    let started = Instant::now();
    once()?;
    let whole = rows * cli.points.div_ceil(rows);
    Ok(started.elapsed().as_secs_f64() * cli.points as f64 / whole as f64)
}

/// Points around the centres of as many groups as there are clusters, made as they are read.
struct Generated {
    points: usize,
    columns: usize,
    clusters: usize,
}

impl Rows for Generated {
    fn count(&self) -> usize {
        self.points
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn read(&self, first: usize, into: &mut [f32]) -> Result<(), pixel_attention::Error> {
        let rows = into.par_chunks_mut(self.columns).enumerate();
        rows.for_each(|(row, values)| {
            let point = first + row;
            // Uneven groups: some get many times the points of others.
            let group = (mixed(point as u64) % self.clusters as u64) as usize;
            let group = group * group / self.clusters;
            for (column, value) in values.iter_mut().enumerate() {
                let centre = unit(!((group * self.columns + column) as u64));
                *value = centre + 2.0 * unit((point * self.columns + column) as u64);
            }
        });
        Ok(())
    }
}

/// A number in -0.5..0.5 for each address.
fn unit(address: u64) -> f32 {
    (mixed(address) >> 40) as f32 / (1 << 24) as f32 - 0.5
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mixed(address: u64) -> u64 {
    let z = address.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

//! k-means of a file of rows, timed: `kmeans-file --help`.
//!
//! Beside `kmeans.rs`, which asks criterion how long small sizes take: this binary serves
//! `peers/kmeans.py` as our side, and shows what 1.2 million rows on disk cost.

use pass_model::group::Group;
use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use luss_benches::Mixture;
use ndarray::Array2;
use pixel_attention::{
    kmeans::{KMeans, KMeansConfig, Update},
    row_file::{Element, RowFile, RowFileWriter},
    rows::Rows,
};

/// k-means of a file of rows, timed.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes unit rows around random centres to a .npy file, a part at a time.
    Generate {
        points: usize,
        columns: usize,
        groups: usize,
        path: PathBuf,
        /// Store float16 instead of float32.
        #[arg(long)]
        half: bool,
    },
    /// Clusters a file from its first rows and prints a line of JSON for each update.
    Cluster {
        path: PathBuf,
        clusters: usize,
        /// Updates of the centroids.
        #[arg(long, default_value_t = 3)]
        iterations: usize,
        /// Read the file again for every assignment instead of holding its rows.
        #[arg(long)]
        streamed: bool,
        /// Only the first rows.
        #[arg(long)]
        points: Option<usize>,
    },
    /// The rate of the crate gemm for all products of points and centroids.
    Products {
        points: usize,
        columns: usize,
        clusters: usize,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Generate {
            points,
            columns,
            groups,
            path,
            half,
        } => generate(points, columns, groups, &path, half),
        Command::Cluster {
            path,
            clusters,
            iterations,
            streamed,
            points,
        } => {
            let file = RowFile::open(&path)?;
            let count = points.unwrap_or(file.count());
            let config = KMeansConfig {
                iterations,
                ..KMeansConfig::new(clusters)
            };
            match streamed {
                true => cluster(&First { file: &file, count }, &config),
                false => {
                    let mut rows = Array2::zeros((count, file.columns()));
                    file.read(0, rows.as_slice_mut().context("standard layout")?)?;
                    cluster(&rows.view(), &config)
                }
            }
        }
        Command::Products {
            points,
            columns,
            clusters,
        } => {
            products(points, columns, clusters);
            Ok(())
        }
    }
}

/// Rows of which this many are made at a time.
const PART: usize = 4096;

fn generate(
    points: usize,
    columns: usize,
    groups: usize,
    path: &std::path::Path,
    half: bool,
) -> Result<()> {
    let element = if half {
        Element::Float16
    } else {
        Element::Float32
    };
    let mut mixture = Mixture::new(columns, groups);
    let mut writer = RowFileWriter::create(path, columns, element)?;
    for first in (0..points).step_by(PART) {
        let rows = mixture.rows(PART.min(points - first));
        writer.append(rows.as_slice().context("standard layout")?)?;
    }
    Ok(writer.finish()?)
}

/// The first rows of a file.
struct First<'a> {
    file: &'a RowFile,
    count: usize,
}

impl Rows for First<'_> {
    fn count(&self) -> usize {
        self.count
    }

    fn columns(&self) -> usize {
        self.file.columns()
    }

    fn read(&self, first: usize, into: &mut [f32]) -> pixel_attention::error::Result<()> {
        self.file.read(first, into)
    }
}

fn cluster(rows: &dyn Rows, config: &KMeansConfig) -> Result<()> {
    let mut initial = Array2::zeros((config.clusters, rows.columns()));
    rows.read(0, initial.as_slice_mut().context("standard layout")?)?;
    let start = Instant::now();
    let watch = |update: &Update| {
        println!(
            "{{\"seconds\": {:.4}, \"iteration\": {}, \"inertia\": {}, \"moved\": {}}}",
            start.elapsed().as_secs_f64(),
            update.iteration,
            update.inertia,
            update.moved
        );
    };
    let kmeans = KMeans::new(rows, config, &Group::default())?.watched_by(&watch);
    let run = kmeans.run_from(initial.view())?;
    println!(
        "{{\"seconds\": {}, \"inertia\": {}, \"iterations\": {}, \"peak_mib\": {}}}",
        start.elapsed().as_secs_f64(),
        run.inertia,
        run.iterations,
        peak_mib()?
    );
    Ok(())
}

/// The most memory that this process held, as Linux counts it.
fn peak_mib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("only Linux tells the peak")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("no VmHWM")?.trim().parse::<u64>()? >> 10)
}

fn products(points: usize, columns: usize, clusters: usize) {
    let (rows, centroids) = (
        vec![0.5f32; points * columns],
        vec![0.25f32; clusters * columns],
    );
    let mut scores = vec![0.0f32; points * clusters];
    let seconds = (0..3).map(|_| {
        let start = Instant::now();
        multiply(&rows, &centroids, columns, &mut scores);
        start.elapsed().as_secs_f64()
    });
    let seconds = seconds.fold(f64::INFINITY, f64::min);
    assert!(scores.iter().all(|&score| score == 0.125 * columns as f32));
    let operations = 2.0 * (points * columns * clusters) as f64;
    let gflops = operations / seconds / 1e9;
    println!("{{\"seconds\": {seconds}, \"gflops\": {gflops}}}");
}

/// `scores[j * points + i]` is the product of row `i` and centroid `j`.
fn multiply(rows: &[f32], centroids: &[f32], columns: usize, scores: &mut [f32]) {
    let (points, clusters) = (rows.len() / columns, centroids.len() / columns);
    assert_eq!(scores.len(), points * clusters);
    let (pitch, parallelism) = (columns as isize, gemm::Parallelism::Rayon(0));
    // SAFETY: the strides address rows[i * columns + k], centroids[j * columns + k] and
    // scores[j * points + i], all within the slices; `scores` is borrowed exclusively.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            points,
            clusters,
            columns,
            scores.as_mut_ptr(),
            points as isize,
            1,
            false,
            rows.as_ptr(),
            1,
            pitch,
            centroids.as_ptr(),
            pitch,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

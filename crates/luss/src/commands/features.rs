//! Anybody's features through clustering, labels and scores.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use burn::tensor::Device;
use clap::{Args, Subcommand};
use imagenet_s::terminal::{show, tell};
use luss::{
    OrRefuse,
    features::{
        FeatureSet, Level, array_file, check_masks, choose_threshold, cluster_rows, label,
        label_masks, prepare_out, score, write_embeddings,
    },
    percent, pick_device, times,
};
use luss_metrics::{ChosenThreshold, Report, ThresholdRule};
use pixel_attention::{kmeans::KMeansConfig, label_store::LabelStore};
use serde_json::json;

use super::extract::Extract;

const GUIDE: &str = "\
Features are one array a set of pictures, .npy or .safetensors, float32 or float16, in C order:
  [pictures, channels]                  embeddings: one label a picture
  [pictures, height, width, channels]   dense features: one label a pixel of the map
FILE.safetensors#NAME names one tensor of several. Keys are a text file with one key a line, or a
JSON list, in the order of the pictures: the mask of the key dog/n1 is MASKS/dog/n1.png (RGB PNG,
id = R + 256 G, 0 other, 1000 ignored). The attention (or saliency) is [pictures, height, width] in
0..=1: it weighs the features of a picture, and pixels where it is low become OTHER.

  import json, numpy as np
  features, keys = [], []
  for path in sorted(pathlib.Path('pictures').rglob('*.jpg')):
      tokens = my_model(path)                       # [height, width, channels]
      features.append(tokens.astype(np.float16))
      keys.append(str(path.relative_to('pictures').with_suffix('')))
  np.save('features.npy', np.stack(features))       # one size of map for all pictures
  json.dump(keys, open('keys.json', 'w'))

  luss features --features features.npy --keys keys.json --classes 50 --out out
  luss features ... --eval-features val.npy --eval-keys val.json --masks validation-masks

Leaves in --out: embeddings.npy (what was clustered), centroids.npy, assignments.json, labels/NAME.labels
(ids and attention at the size of the map), with --png masks/NAME/KEY.png, and with --masks metrics.json
and match.json; contents.json names all of these, and the next call with this folder takes them away
first. With --masks the clusters are matched one to one to classes on these very masks.";

/// Clusters features of any origin, labels every pixel, and scores the labels if there are masks.
///
/// Example: luss features --features features.npy --keys keys.json --classes 50 --out out
///
/// Leaves in --out what is clustered, centroids, assignments and labels, and with --masks the scores.
#[derive(Args)]
#[command(after_long_help = GUIDE)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Features {
    #[command(subcommand)]
    command: Option<OfFeatures>,

    #[command(flatten)]
    cluster: Option<Cluster>,
}

#[derive(Subcommand)]
enum OfFeatures {
    Extract(Extract),
}

impl Features {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match (&self.command, &self.cluster) {
            (Some(OfFeatures::Extract(extract)), _) => extract.run(),
            (None, Some(cluster)) => cluster.run(),
            (None, None) => unreachable!("clap asks for --features"),
        }
    }
}

/// What is clustered, labelled and scored.
#[derive(Args)]
struct Cluster {
    /// Features that are clustered: .npy or .safetensors[#NAME].
    #[arg(long, value_name = "FILE")]
    features: String,

    /// Their keys, one a picture, in order: text or JSON [default: FILE.keys.json beside the features].
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,

    /// Their attention, 0 to 1.
    #[arg(long, value_name = "FILE")]
    attention: Option<String>,

    /// Features of other pictures that are labelled and scored [default: those that are clustered].
    #[arg(long, value_name = "FILE")]
    eval_features: Option<String>,

    /// The keys of --eval-features [default: as of --features].
    #[arg(long, value_name = "FILE", requires = "eval_features")]
    eval_keys: Option<PathBuf>,

    /// The attention of --eval-features.
    #[arg(long, value_name = "FILE", requires = "eval_features")]
    eval_attention: Option<String>,

    /// A folder of true masks, MASKS/KEY.png, of the scored pictures.
    #[arg(long, value_name = "DIR")]
    masks: Option<PathBuf>,

    /// Clusters to find, 1 to 999; as many as there are classes in the masks.
    #[arg(long, value_name = "K")]
    classes: u16,

    /// What is clustered: one embedding a picture (as PASS does) or every feature.
    #[arg(long, value_enum, default_value = "images")]
    level: Level,

    /// Where attention is below it a pixel is OTHER: best (of 81, by the masks), otsu, share:S for a
    /// share S of foreground, or a number [default: 0 without attention, best with masks, otsu
    /// without].
    #[arg(long, value_name = "T", value_parser = threshold_rule)]
    threshold: Option<ThresholdRule>,

    /// Restarts of k-means; the best is kept.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = times)]
    restarts: usize,

    /// Iterations of each.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = times)]
    iterations: usize,

    /// Seed of k-means.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// MiB for what is clustered; read in parts where it is more, to the same result.
    #[arg(long, value_name = "MIB", default_value_t = 8192)]
    memory_mib: usize,

    /// Also write the labels as PNG masks.
    #[arg(long)]
    png: bool,

    /// cpu, cuda, cuda:1, wgpu: where pixels meet centroids.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,

    /// The folder of the results.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Cluster {
    fn run(&self) -> anyhow::Result<()> {
        let sets = self.open().or_refuse()?;
        let (set, shown, name) = (&sets.clustered, sets.shown(), sets.name());
        tell(format_args!(
            "{} pictures, {} channels",
            set.keys().len(),
            set.channels()
        ));
        let clusters = usize::from(self.classes);
        let rows = write_embeddings(set, self.level, clusters, &self.out).or_refuse()?;
        let run = cluster_rows(&rows, &self.kmeans(), self.memory_mib, &self.out)?;
        show(format_args!(
            "inertia {:.6} after {} iterations",
            run.inertia, run.iterations
        ))?;
        let ids: Vec<u32> = run.assignments.iter().map(|row| row + 1).collect();
        write_json(self, "assignments.json", &json!(ids))?; // as in label masks
        tell_sizes(&run.assignments, clusters)?;

        let store = label(shown, run.centroids.view(), &sets.device, name, &self.out)?;
        let chosen = self.choose(&store, shown).or_refuse()?;
        let masks = self.masks.as_deref();
        if self.png {
            let folder = self.out.join("masks").join(name);
            label_masks(&store, masks, chosen.threshold, &folder)?;
        }
        show(format_args!(
            "threshold {} (labels used: {})",
            chosen.threshold,
            json!(chosen.labels_used)
        ))?;
        if let Some(masks) = masks {
            let (report, matching) = score(&store, masks, chosen.threshold)?;
            print_scores(&report)?;
            let results = json!({ "threshold": chosen, "inertia": run.inertia, "scores": report });
            write_json(self, "metrics.json", &results)?;
            whole_file::write_bytes(&self.out.join("match.json"), matching.to_json().as_bytes())?;
        }
        show(format_args!("results: {}", self.out.display()))?;
        Ok(())
    }

    fn open(&self) -> anyhow::Result<Sets> {
        let device = pick_device(&self.device)?;
        ensure!(
            (1..1000).contains(&self.classes),
            "--classes {}: 1 to 999 are possible",
            self.classes
        );
        let sets = Sets {
            device,
            clustered: FeatureSet::open(
                &self.features,
                self.keys.as_deref(),
                self.attention.as_deref(),
            )?,
            evaluated: evaluated_set(self)?,
        };
        let left = results(self, sets.shown(), sets.name());
        prepare_out(&self.out, &left, &inputs(self))?;
        Ok(sets)
    }

    fn kmeans(&self) -> KMeansConfig {
        KMeansConfig {
            restarts: self.restarts,
            iterations: self.iterations,
            seed: self.seed,
            ..KMeansConfig::new(usize::from(self.classes))
        }
    }

    /// The threshold, once every picture is known to have a mask where there are any.
    fn choose(&self, store: &LabelStore, shown: &FeatureSet) -> anyhow::Result<ChosenThreshold> {
        let masks = self.masks.as_deref();
        if let Some(masks) = masks {
            check_masks(store, masks)?;
        }
        let rule = self.threshold.unwrap_or(match shown.has_attention() {
            false => ThresholdRule::Fixed(0.0),
            true if masks.is_some() => ThresholdRule::Validation,
            true => ThresholdRule::Otsu,
        });
        choose_threshold(rule, store, masks)
    }
}

/// A rule by its words; attention lies in 0..=1.
fn threshold_rule(text: &str) -> Result<ThresholdRule, String> {
    match text.parse()? {
        ThresholdRule::Fixed(threshold) if !(0.0..=1.0).contains(&threshold) => {
            Err(format!("{threshold} is not between 0 and 1"))
        }
        rule => Ok(rule),
    }
}

/// What is clustered and, where that is something else, labelled.
struct Sets {
    device: Device,
    clustered: FeatureSet,
    evaluated: Option<FeatureSet>,
}

impl Sets {
    fn shown(&self) -> &FeatureSet {
        self.evaluated.as_ref().unwrap_or(&self.clustered)
    }

    fn name(&self) -> &'static str {
        if self.evaluated.is_some() {
            "evaluated"
        } else {
            "clustered"
        }
    }
}

/// All that a call may leave, below the folder of the results.
fn results(cli: &Cluster, shown: &FeatureSet, name: &str) -> Vec<String> {
    let rows = ["embeddings.npy", "embeddings.npy.partial", "centroids.npy"];
    let numbers = ["assignments.json", "metrics.json", "match.json"];
    let labels = ["", ".partial", ".cursor"].map(|end| format!("labels/{name}.labels{end}"));
    let masks = shown.keys().iter().filter(|_| cli.png);
    let masks = masks.map(|key| format!("masks/{name}/{key}.png"));
    let files = rows.into_iter().chain(numbers).map(String::from);
    files.chain(labels).chain(masks).collect()
}

/// The files and folders that a call reads.
fn inputs(cli: &Cluster) -> Vec<&Path> {
    let arrays = [&cli.attention, &cli.eval_features, &cli.eval_attention];
    let arrays = arrays.into_iter().flatten().chain([&cli.features]);
    let arrays = arrays.map(|name| array_file(name));
    let others = [&cli.keys, &cli.eval_keys, &cli.masks]
        .into_iter()
        .flatten();
    arrays.chain(others.map(PathBuf::as_path)).collect()
}

/// Says how large the clusters are, and warns where one of several holds more than all others.
fn tell_sizes(assignments: &[u32], clusters: usize) -> anyhow::Result<()> {
    let mut sizes = vec![0; clusters];
    for &cluster in assignments {
        sizes[cluster as usize] += 1;
    }
    let least = sizes.iter().min().expect("at least one cluster");
    let most = *sizes.iter().max().expect("at least one cluster");
    let rows = assignments.len();
    show(format_args!("clusters of {least} to {most} of {rows} rows"))?;
    if clusters > 2 && 2 * most > rows {
        tell(format_args!(
            "warning: one cluster holds {most} of {rows} rows; look at how the features were made"
        ));
    }
    Ok(())
}

fn evaluated_set(cli: &Cluster) -> anyhow::Result<Option<FeatureSet>> {
    let Some(features) = &cli.eval_features else {
        return Ok(None);
    };
    FeatureSet::open(
        features,
        cli.eval_keys.as_deref(),
        cli.eval_attention.as_deref(),
    )
    .map(Some)
}

fn write_json(cli: &Cluster, name: &str, value: &serde_json::Value) -> anyhow::Result<()> {
    let path = cli.out.join(name);
    whole_file::write_bytes(&path, format!("{value:#}\n").as_bytes())
        .with_context(|| format!("{}", path.display()))
}

fn print_scores(report: &Report) -> anyhow::Result<()> {
    show(format_args!(
        "pictures  mIoU  b-mIoU  Img-Acc  F-beta   (percent)"
    ))?;
    let scores = [
        report.miou,
        report.boundary_miou,
        report.image_accuracy,
        report.f_beta,
    ];
    let [miou, boundary, accuracy, f_beta] = scores.map(percent);
    show(format_args!(
        "{:>8} {miou:>5} {boundary:>7} {accuracy:>8} {f_beta:>7}",
        report.images
    ))?;
    Ok(())
}

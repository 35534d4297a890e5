//! Features of a backbone over any folder of pictures.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use imagenet_s::{
    OddPictures,
    terminal::{show, tell},
};
use luss::{
    BackboneFile, OrRefuse,
    features::{POOLED, Recipe, Work, array_path, extract, parse_shard, pictures_of, shard_of},
    pick_device, threads, times,
};
use pass_train::{Verbosity, sum_of};
use pixel_attention::row_file::Element;

/// Writes the features that a backbone has of every picture of a folder, as one array.
///
/// Example: luss features extract --backbone resnet50=resnet50.pth --images ~/pictures --out f.npy
///
/// FILE is .pth, .safetensors, or a .whl or .zip that holds one of them; NAME= may be left out where the keys
/// tell. The array is [pictures, height, width, channels], or [pictures, channels] with --layer pooled, in
/// the order of the sorted paths. Without --size a picture keeps its aspect: its shorter side is resized and
/// the centre cut out, as the published weights want it. A killed extraction goes on with the same command.
///
/// Several machines take a part each with --shard 1/3, 2/3, 3/3; `luss features --features f.npy` then reads
/// f.1-of-3.npy and so on as one array.
///
/// Leaves F.npy, F.keys.json (the path of each picture without extension) and F.json (how it was made).
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Extract {
    /// The network and its weights, as vit_s16=dino.pth; or the file alone.
    #[arg(long, value_name = "NAME=FILE")]
    backbone: BackboneFile,

    /// A folder of pictures, flat or nested (JPEG, PNG, WebP, TIFF, BMP), turned as EXIF says.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,

    /// Take only pictures of these names, e.g. --pattern '*.jpg' where masks lie beside them.
    #[arg(long, value_name = "PATTERN")]
    pattern: Option<String>,

    /// The array, NAME.npy.
    #[arg(long, value_name = "F.npy")]
    out: PathBuf,

    /// Bring pictures to N x N pixels, with Pillow's bilinear filter.
    #[arg(long, value_name = "N", value_parser = times)]
    size: Option<usize>,

    /// How numbers are stored: float32 or float16.
    #[arg(long, value_name = "TYPE", default_value = "float32", value_parser = parse_dtype)]
    dtype: Element,

    /// The map: stage1 to stage4; keys, queries, values, attention or class of vision transformers; or
    /// pooled, one embedding a picture.
    #[arg(long, value_name = "LAYER", default_value = "stage4")]
    layer: String,

    /// Average the features of the picture at these sizes, as shares; maps have the size of the first.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1")]
    scales: Vec<f64>,

    /// Average in the features of the mirrored picture.
    #[arg(long)]
    flip: bool,

    /// Take part I of N of the pictures, from 1 on.
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    shard: Option<(usize, usize)>,

    /// Pictures that go through the network together.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = times)]
    batch: usize,

    /// Threads that decode pictures.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = threads)]
    workers: usize,

    /// cpu, cuda, cuda:1, wgpu: where the network computes.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,

    /// Also take pictures of unusual encodings, such as CMYK.
    #[arg(long)]
    odd_pictures: bool,

    /// Say only what starts, what ends and what fails.
    #[arg(long)]
    quiet: bool,
}

impl Extract {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let device = pick_device(&self.device).or_refuse()?;
        let samples = pictures_of(&self.images, self.pattern.as_deref()).or_refuse()?;
        let array = array_path(&self.out, self.shard, samples.len()).or_refuse()?;
        let samples = match self.shard {
            Some((shard, of)) => shard_of(&samples, shard, of),
            None => &samples,
        };
        let mut loaded = self.backbone.load(&device).or_refuse()?;
        let (name, tensors) = (&loaded.name, loaded.imported.loaded);
        let path = self.backbone.path()?.display();
        tell(format_args!("{name}: {tensors} tensors from {path}"));
        self.check_layer(loaded.network.layers()).or_refuse()?;
        let recipe = self.recipe(&loaded).or_refuse()?;
        let work = Work {
            device,
            batch: self.batch,
            workers: self.workers,
            odd: self.odd(),
            verbosity: self.verbosity(),
        };
        let shape = extract(&mut loaded.network, &recipe, samples, &array, &work)?;
        show(format_args!("{}: {shape:?}", array.display()))?;
        Ok(())
    }

    fn recipe(&self, loaded: &luss::LoadedBackbone) -> anyhow::Result<Recipe> {
        let path = self.backbone.path()?;
        let sum = sum_of(path).with_context(|| format!("{}", path.display()))?;
        let possible = |scale: &f64| (0.1..=10.0).contains(scale);
        ensure!(
            self.scales.iter().all(possible),
            "--scales: shares are 0.1 to 10"
        );
        Ok(Recipe {
            backbone: loaded.name.clone(),
            weights_sha256: sum,
            layer: self.layer.clone(),
            preprocessing: loaded.config.preprocessing(),
            size: self.size,
            scales: self.scales.clone(),
            flip: self.flip,
            dtype: self.dtype,
        })
    }

    fn check_layer(&self, known: &[&str]) -> anyhow::Result<()> {
        ensure!(
            self.layer == POOLED || known.contains(&self.layer.as_str()),
            "--layer {}: this backbone has {} and {POOLED}",
            self.layer,
            known.join(", ")
        );
        Ok(())
    }

    fn odd(&self) -> OddPictures {
        if self.odd_pictures {
            OddPictures::Decode
        } else {
            OddPictures::Refuse
        }
    }

    fn verbosity(&self) -> Verbosity {
        if self.quiet {
            Verbosity::Quiet
        } else {
            Verbosity::Auto
        }
    }
}

fn parse_dtype(text: &str) -> Result<Element, String> {
    match text {
        "float32" => Ok(Element::Float32),
        "float16" => Ok(Element::Float16),
        _ => Err("float32 or float16".to_owned()),
    }
}

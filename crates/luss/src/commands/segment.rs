//! A finished run on other pictures.

use std::{path::PathBuf, str::FromStr};

use anyhow::ensure;
use burn::tensor::Device;
use clap::Args;
use imagenet_s::{
    OddPictures,
    terminal::{show, tell},
};
use luss::{
    OrRefuse,
    names::{filled, read_names},
    pick_device,
    segment::{Journal, MaskForm, Plan, Recipe, Work, pictures_of, segment},
    threads, times,
};
use pass_train::{
    Verbosity,
    apply::{About, LEAST_CELLS, Model, Sizing},
};

/// Labels pictures of any origin with the model of a finished run.
///
/// Example: luss segment --run runs/mine --out masks ~/new-pictures
///
/// An INPUT is a picture, a folder of pictures, a list of both (.txt, a path a line), or - for a list on standard
/// input, as in `find . -name '*.jpg' | luss segment --model mine.safetensors --out masks -`. Pictures are seen as
/// step 4 of the run sees them, so its own pictures get the masks that it made. Large ones show more at
/// --resize full, where they go through the network in windows that overlap; memory of the network follows the window.
///
/// What labels them is what labelled the run's own pictures: the network of step 3, or with predict.predictor =
/// "labels" and cluster.way = "objects" the frozen backbone and its clusters, without --resize and --tile.
///
/// Before the first mask all pictures are read once. A killed call goes on with the same command. Takes about as long
/// as step 4 for as many pictures.
///
/// Leaves OUT/KEY.png, which viewers show in colours (the index of a pixel is its category, 0 is other; above 255
/// categories RGB with id = R + 256 G), and OUT/segments.json: pictures, sizes, categories, shares, confidence. KEY is the
/// path of the picture without extension, below the folder that all INPUTs have in common.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct SegmentPictures {
    /// The directory of a run that has made its result.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "model",
        required_unless_present = "model"
    )]
    run: Option<PathBuf>,

    /// A file of `luss model export`, in place of --run.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// The folder of the masks: a new one, or that of the same call before.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Pictures, folders, lists.
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,

    /// Bring the shorter side of a picture to N pixels, or leave pictures as they are: full. Every pixel is then
    /// labelled by itself [default: as step 4 of the run].
    #[arg(long, value_name = "N|full")]
    resize: Option<Seen>,

    /// A picture that has more than N x N pixels by then is seen in windows of at most that size.
    #[arg(long, value_name = "N", value_parser = times)]
    tile: Option<usize>,

    /// What the categories are called: a name a line, from category 1 on, or an id and a name a line
    /// [default: the classes that the run has matched them with, else category 1, …].
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,

    /// Leave out pictures that cannot be read, and list them in segments.json.
    #[arg(long)]
    skip_broken: bool,

    /// Also take pictures of unusual encodings, such as CMYK.
    #[arg(long)]
    odd_pictures: bool,

    /// Pictures of one size that go through the network together [default: as step 4 of the run].
    #[arg(long, value_name = "N", value_parser = times)]
    batch: Option<usize>,

    /// Threads that decode pictures.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = threads)]
    workers: usize,

    /// cpu, cuda, cuda:1, wgpu: where the network computes.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,

    /// Say only what starts, what ends and what fails.
    #[arg(long)]
    quiet: bool,
}

/// How a picture is seen: its shorter side in pixels, or as it is.
#[derive(Clone, Copy, Debug)]
struct Seen(Option<u32>);

impl FromStr for Seen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("full", _) => Ok(Self(None)),
            (_, Ok(side @ 16..=65536)) => Ok(Self(Some(side))),
            _ => Err("must be full, or a whole number, 16 to 65536".to_owned()),
        }
    }
}

impl SegmentPictures {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let device = pick_device(&self.device).or_refuse()?;
        let mut model = self.model(device).or_refuse()?;
        let recipe = self.recipe(model.about()).or_refuse()?;
        let pictures = pictures_of(&self.inputs).or_refuse()?;
        let plan = Plan::open(&self.out, recipe, &pictures, self.workers, self.verbosity());
        let plan = plan.or_refuse()?;
        let mut journal = Journal::open(&self.out, &plan).or_refuse()?;
        let work = Work {
            batch: self.batch.unwrap_or(model.about().predict.batch),
            workers: self.workers,
            verbosity: self.verbosity(),
        };
        let written = segment(&mut model, &plan, &mut journal, &self.out, &work)?;
        self.tell(&plan, written)
    }

    fn model(&self, device: Device) -> anyhow::Result<Model> {
        let model = match (&self.run, &self.model) {
            (Some(run), _) => Model::of_run(run, device)?,
            (None, Some(file)) => Model::read(file, device)?,
            (None, None) => unreachable!("clap asks for one of them"),
        };
        let categories = model.about().categories();
        if MaskForm::of(categories) == MaskForm::ImagenetS {
            tell(format_args!(
                "{categories} categories are more than a palette holds: masks are RGB, id = R + 256 G"
            ));
        }
        Ok(model)
    }

    fn recipe(&self, about: &About) -> anyhow::Result<Recipe> {
        let names = match &self.names {
            Some(path) => filled(&read_names(path)?, about.categories())?,
            None => about.names.clone(),
        };
        let odd_pictures = match self.odd_pictures {
            true => OddPictures::Decode,
            false => about.odd_pictures,
        };
        Ok(Recipe {
            model_sha256: about.sum(),
            sizing: self.sizing(about)?,
            decoding: about.decoding.clone(),
            odd_pictures,
            names,
            skip_broken: self.skip_broken,
        })
    }

    fn sizing(&self, about: &About) -> anyhow::Result<Sizing> {
        let mut sizing = about.sizing();
        ensure!(
            !sizing.square || (self.resize.is_none() && self.tile.is_none()),
            "--resize and --tile: this model finds objects on the whole picture, brought to {0} x {0} pixels; leave both out",
            sizing.resize.unwrap_or_default()
        );
        if let Some(Seen(resize)) = self.resize {
            sizing.resize = resize;
            sizing.longer_side_cap = 0;
        }
        sizing.tile = self.tile.unwrap_or(sizing.tile);
        let least = LEAST_CELLS * about.network.backbone.stride();
        ensure!(
            sizing.tile >= least,
            "--tile {}: windows of this network have {least} pixels or more",
            sizing.tile
        );
        Ok(sizing)
    }

    fn verbosity(&self) -> Verbosity {
        if self.quiet {
            Verbosity::Quiet
        } else {
            Verbosity::Auto
        }
    }

    fn tell(&self, plan: &Plan, written: usize) -> anyhow::Result<()> {
        let (masks, out) = (plan.pictures.len(), self.out.display());
        let before = match masks - written {
            0 => String::new(),
            before => format!(", {before} of them from before"),
        };
        let skipped = match plan.skipped.len() {
            0 => String::new(),
            skipped => format!("; {skipped} pictures cannot be read"),
        };
        show(format_args!(
            "{masks} masks in {out}{before}{skipped}: see segments.json there"
        ))?;
        Ok(())
    }
}

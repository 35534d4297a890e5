//! Every step in its order, each skipped when an earlier start has finished it.

use std::fmt;

use imagenet_s::Split;

use crate::{
    Context, Error, RunFile, Step,
    controls::{self, EllipseControl},
    ranks::{done_by_first, first_with, share_of_batch},
    report::data::write_run_report,
    run_file::{Method, Source},
    step::{
        Batches,
        evaluate::{Metrics, store},
    },
    watch::{findings, verdict::RunVerdict},
};

/// Training images of the smallest published set, ImageNet-S50 (<https://arxiv.org/abs/2106.03149>, table 1).
const PUBLISHED_IMAGES: usize = 64_431;

/// With fewer images a training from scratch is told what to expect.
const ENOUGH_TO_LEARN: usize = 20_000;

/// What a result is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// No learning: a centred ellipse as foreground.
    Ellipse(EllipseControl),
    /// The same pipeline on a backbone with its initial weights.
    Untrained,
    /// The same pipeline without P2P and D2S.
    SwavOnly,
}

impl Control {
    /// Every control, the cheap ones first.
    pub const ALL: [Self; 5] = [
        Self::Ellipse(EllipseControl::SingleCluster),
        Self::Ellipse(EllipseControl::RandomCluster),
        Self::Ellipse(EllipseControl::ColourClusters),
        Self::Untrained,
        Self::SwavOnly,
    ];

    /// The name on the command line and in `metrics.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ellipse(control) => control.name(),
            Self::Untrained => "untrained",
            Self::SwavOnly => "swav_only",
        }
    }

    /// The control of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|control| control.name() == name)
    }

    /// Why a run has nothing to compare with it, if it has not.
    fn left_out(self, file: &RunFile) -> Option<&'static str> {
        let untrained = self == Self::SwavOnly && file.pretrain.epochs == 0;
        untrained.then_some("`pretrain.epochs` = 0 trains neither with P2P and D2S nor without")
    }

    /// The run file of a control that is a pipeline of its own.
    fn run_file(self, file: &RunFile) -> Option<RunFile> {
        let mut file = file.clone();
        match self {
            Self::Ellipse(_) => return None,
            Self::Untrained => file.pretrain.epochs = 0,
            Self::SwavOnly => {
                file.pretrain.method = Method::PassS;
                file.pretrain.p2p = false;
                file.pretrain.shallow.clear();
                file.pretrain.shallow_weights.clear();
            }
        }
        Some(file)
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Runs what has not finished of all steps, then the controls, then writes `report.html`.
///
/// # Errors
///
/// From the first step that fails; what finished before it stays finished.
pub fn run(context: &Context, controls: &[Control]) -> Result<Metrics, Error> {
    check_batches(context)?;
    let before: Vec<Step> = Step::all()
        .filter(|&step| context.run.is_done(step))
        .collect();
    let mut metrics = run_steps(context)?;
    add_controls(context, controls, &mut metrics)?;
    done_by_first(&context.ranks, || {
        let verdict = RunVerdict::leave(context)?;
        write_run_report(context, &metrics, &verdict)?;
        findings::tell_untold(context, &verdict.findings, &before);
        Ok(())
    })?;
    Ok(metrics)
}

/// Refuses, before the first step, a batch of a later one that these ranks cannot share.
fn check_batches(context: &Context) -> Result<(), Error> {
    let file = &context.file;
    let to_come = |step: &Step| !context.run.is_done(*step) && step.left_out(file).is_none();
    for step in Step::trainings().filter(to_come) {
        let Batches {
            batch, accumulate, ..
        } = step.batches(&context.file).expect("a training");
        share_of_batch(&context.ranks, step, [batch, accumulate])?;
    }
    Ok(())
}

/// Before hours of work, what they may come to.
fn tell_what_to_expect(context: &Context) {
    let images = context.data.samples(Split::Train).len();
    let learns = !context.run.is_done(Step::Pretrain) && context.file.pretrain.epochs > 0;
    let data = &context.file.data;
    let others = matches!(data.source, Source::Synthetic(_)) || data.pretrain_pictures.is_some();
    let few = learns && !others && images < ENOUGH_TO_LEARN;
    if few && context.ranks.is_first() {
        context.warn(&expectation(images));
    }
}

/// What to expect of a network that learns from nothing but so many images.
fn expectation(images: usize) -> String {
    format!(
        "{images} images are few to train a network on from scratch: published runs have {PUBLISHED_IMAGES} and \
         more, and with 900 photographs the result was no better than that of plain colours (docs/RESULTS.md). \
         What helps most is a pretrained backbone: luss run --backbone NAME=FILE (docs/PIPELINE.md, Backbones)"
    )
}

fn run_steps(context: &Context) -> Result<Metrics, Error> {
    tell_what_to_expect(context);
    for step in Step::all().filter(|&step| step != Step::CheckData) {
        if let Some(reason) = step.left_out(&context.file) {
            context.say(&format!("{}: left out, {reason}", step.name()));
            continue;
        }
        let masks = step.masks();
        if masks.iter().all(|&split| context.data.has_masks(split)) {
            run_unless_done(context, step)?;
        } else {
            let (step, splits) = (step.name(), masks.iter().map(|split| split.name()));
            let splits = splits.collect::<Vec<_>>().join(" and ");
            context.say(&format!("{step}: left out, it needs {splits} masks"));
        }
    }
    context.run.read_json(&context.run.file("metrics.json"))
}

fn run_unless_done(context: &Context, step: Step) -> Result<(), Error> {
    let ranks = &context.ranks;
    let asked = first_with(ranks, context.stop.is_asked()).is_some();
    if first_with(ranks, ranks.is_first() && context.run.is_done(step)).is_some() {
        done_by_first(ranks, || context.run.unchanged_since(step))?;
        context.say(&format!("{}: finished before, skipped", step.name()));
        return Ok(());
    }
    if asked {
        return Err(Error::Stopped {
            step: step.name(),
            done: "before it began".into(),
        });
    }
    step.run(context)
}

/// Scores those controls into `metrics.json` that are not there already.
fn add_controls(
    context: &Context,
    controls: &[Control],
    metrics: &mut Metrics,
) -> Result<(), Error> {
    if !controls.is_empty() && !context.data.has_masks(Split::Validation) {
        return Err(Error::NoMasks {
            what: "a control",
            split: Split::Validation.name(),
            data: context.data.root().display().to_string(),
            remedy: "leave --controls out for pictures without masks",
        });
    }
    let is_there = |of: &Control| metrics.keys().any(|name| name.starts_with(of.name()));
    let to_come = controls.iter().copied().filter(|of| !is_there(of));
    let to_come: Vec<Control> = to_come.collect();
    let ellipses = to_come.iter().filter_map(|of| match of {
        Control::Ellipse(ellipse) => Some(*ellipse),
        _ => None,
    });
    add_ellipses(context, &ellipses.collect::<Vec<_>>(), metrics)?;
    let others = to_come
        .into_iter()
        .filter(|of| !matches!(of, Control::Ellipse(_)));
    for control in others {
        add_pipeline(context, control, metrics)?;
    }
    Ok(())
}

fn add_ellipses(
    context: &Context,
    ellipses: &[EllipseControl],
    metrics: &mut Metrics,
) -> Result<(), Error> {
    if ellipses.is_empty() {
        return Ok(());
    }
    done_by_first(&context.ranks, || {
        let reports = controls::score(context, ellipses)?;
        for (ellipse, report) in ellipses.iter().zip(reports) {
            store(context, ellipse.name(), &report, metrics)?;
        }
        write_metrics(context, metrics)
    })
}

/// Adds a control that is a pipeline of its own, unless it has nothing to tell.
fn add_pipeline(context: &Context, control: Control, metrics: &mut Metrics) -> Result<(), Error> {
    let leave_out = |reason: &dyn fmt::Display| {
        if context.ranks.is_first() {
            context.warn(&format!("control {control}: left out, {reason}"));
        }
        Ok(())
    };
    if let Some(reason) = control.left_out(&context.file) {
        return leave_out(&reason);
    }
    let scored = match run_control(context, control) {
        Err(found @ Error::NoForeground { .. }) => return leave_out(&found),
        scored => scored?,
    };
    let named = scored.into_iter();
    metrics.extend(named.map(|(name, scores)| (format!("{control}_{name}"), scores)));
    done_by_first(&context.ranks, || write_metrics(context, metrics))
}

fn write_metrics(context: &Context, metrics: &Metrics) -> Result<(), Error> {
    let place = context.run.file("metrics.json");
    context.run.write_json(&place, metrics)
}

/// Runs a control that is a pipeline of its own, in `controls/NAME`, on the same pictures.
fn run_control(context: &Context, control: Control) -> Result<Metrics, Error> {
    let mut file = control
        .run_file(&context.file)
        .expect("asked only for controls with a run file");
    if let Source::Synthetic(_) = file.data.source {
        file.data.source = Source::Layout {
            path: context.data.root().into(),
        };
    }
    context.say(&format!("control {control}"));
    let root = context.run.file("controls").join(control.name());
    let inner = context.sibling(&root, file)?;
    run(&inner, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_training_there_is_none_without_p2p_and_d2s() {
        let mut file = RunFile::default();
        let left_out = |file: &RunFile| {
            let left_out = Control::ALL
                .into_iter()
                .filter(|of| of.left_out(file).is_some());
            left_out.map(Control::name).collect::<Vec<_>>()
        };
        assert_eq!(left_out(&file), [""; 0]);
        file.pretrain.epochs = 0;
        assert_eq!(left_out(&file), ["swav_only"]);
    }
}

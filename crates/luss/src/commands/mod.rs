//! The subcommands: arguments, one call, a line of result.

mod data;
mod export;
mod extract;
mod features;
mod labels;
mod model;
mod segment;
mod step;
mod watch;
mod weights;

use clap::{
    Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use imagenet_s::Split;
use luss::{EXIT_CODES, PipelineArguments};

/// Large-scale unsupervised semantic segmentation: pictures without labels become a model that
/// assigns every pixel a category which it discovered by itself.
///
/// Example: luss run --images ~/pictures --classes 12 --run runs/mine
///
/// Leaves everything in the run directory; report.html there shows it.
#[derive(Parser)]
#[command(
    name = "luss",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Luss {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs all steps of the method and writes a report.
    ///
    /// Example: luss run --images ~/pictures --classes 12 --run runs/mine
    ///
    /// Without --data or --images it makes its own pictures; that takes about 7 minutes on two cores. A
    /// second start of the same command skips the steps that have finished, and a killed one goes on from
    /// its last checkpoint. Prints a table of mIoU, boundary mIoU, image accuracy and F-beta.
    ///
    /// Leaves in the run directory what each step does (luss step --help), report.html, and in
    /// verdict.json whether it has worked.
    #[command(after_help = EXIT_CODES)]
    Run(PipelineArguments),
    Step(step::StepOfRun),
    Watch(watch::Watch),
    Segment(segment::SegmentPictures),
    #[command(subcommand)]
    Model(model::OfModel),
    #[command(subcommand)]
    Data(data::Data),
    #[command(subcommand)]
    Weights(weights::Weights),
    Features(features::Features),
    #[command(subcommand)]
    Labels(labels::Labels),
    Export(export::Export),
}

impl Luss {
    /// Does what the command line asks for.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(run) => run.run(),
            Command::Step(step) => step.run(),
            Command::Watch(watch) => watch.run(),
            Command::Segment(segment) => segment.run(),
            Command::Model(model) => model.run(),
            Command::Data(data) => data.run(),
            Command::Weights(weights) => weights.run(),
            Command::Features(features) => features.run(),
            Command::Labels(labels) => labels.run(),
            Command::Export(export) => export.run(),
        }
    }
}

/// One of these splits by its name.
fn split_of(splits: &'static [Split]) -> impl TypedValueParser<Value = Split> {
    let of_name = |name: String| Split::ALL.into_iter().find(|split| split.name() == name);
    PossibleValuesParser::new(splits.iter().map(|split| split.name()))
        .map(move |name| of_name(name).expect("one of them"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Each command's help has a sentence, behind it an example that parses, and what is left.
    fn check_teaches(path: &str, command: &clap::Command) {
        let help = command.get_long_about().unwrap_or_default().to_string();
        let about = command.get_about().unwrap_or_default().to_string();
        assert!(
            !about.is_empty() && !about.contains(". "),
            "{path}: {about}"
        );
        assert!(help.contains("\nLeaves "), "{path}: {help}");
        let second = help.split("\n\n").nth(1).unwrap_or_default();
        assert!(second.starts_with("Example: "), "{path}: {help}");
        let example = help.lines().find_map(|line| line.strip_prefix("Example: "));
        let example = example.unwrap_or_else(|| panic!("{path}: no example in {help}"));
        assert!(example.starts_with(path), "{path}: {example}");
        Luss::try_parse_from(example.split(' ')).unwrap_or_else(|error| panic!("{error}"));
        for inner in command.get_subcommands() {
            if inner.get_name() != "help" {
                check_teaches(&format!("{path} {}", inner.get_name()), inner);
            }
        }
    }

    #[test]
    fn the_help_of_each_command_teaches() {
        check_teaches("luss", &Luss::command());
    }

    /// Clap adds the flag when it builds the commands.
    fn check_has_version(path: &str, command: &clap::Command) {
        let has = command.get_arguments().any(|arg| arg.get_id() == "version");
        assert!(has, "{path} has no --version");
        for inner in command.get_subcommands() {
            if inner.get_name() != "help" {
                check_has_version(&format!("{path} {}", inner.get_name()), inner);
            }
        }
    }

    #[test]
    fn every_command_has_a_version() {
        let mut luss = Luss::command();
        luss.build();
        check_has_version("luss", &luss);
    }

    #[test]
    fn the_options_of_a_run_stand_in_groups() {
        let mut luss = Luss::command();
        luss.build();
        for name in ["run", "step"] {
            let command = luss.find_subcommand(name).unwrap();
            let own = command
                .get_opts()
                .filter(|of| of.get_help_heading().is_none());
            let own: Vec<_> = own.map(|of| of.get_id().as_str()).collect();
            assert_eq!(own, [""; 0], "{name}");
        }
    }

    /// `docs/PIPELINE.md` has the same table.
    #[test]
    fn the_documented_exit_codes_are_those_of_the_help() {
        let docs = include_str!("../../../../docs/PIPELINE.md");
        for line in EXIT_CODES.lines().skip(1) {
            let (code, meaning) = line.trim().split_once("  ").unwrap();
            assert!(docs.contains(&format!("| {code} | {meaning} |")), "{line}");
        }
    }
}

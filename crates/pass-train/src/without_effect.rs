//! Settings that cannot take effect in a training: told in one line when it starts.
//!
//! The published settings are for tens of thousands of iterations. On small data a queue never
//! fills and an interval is never over: the run is sound, but not what its run file seems to say.

use pass_model::{
    loss::SwappedPredictionConfig,
    optim::{Algorithm, Decline},
};

use crate::{
    Context, Step,
    run_file::{Method, PretrainSection, RunFile},
    training_plan::Plan,
};

/// Tells the settings without effect in the training of `plan`, once for all ranks.
pub(crate) fn tell_without_effect(context: &Context, plan: &Plan, per_epoch: usize) {
    let line = without_effect(&context.file, plan, per_epoch);
    if let Some(line) = line.filter(|_| context.speaks()) {
        context.warn(&format!("warning: {line}"));
    }
}

/// The settings without effect in the training of `plan`, each with its reason; nothing where all
/// take effect, or where nothing is trained.
fn without_effect(file: &RunFile, plan: &Plan, per_epoch: usize) -> Option<String> {
    let total = per_epoch * plan.batches.epochs;
    let training = Training {
        file,
        plan,
        per_epoch,
        total,
    };
    let (step, epochs) = (plan.step.name(), plan.batches.epochs);
    let idle = training.idle();
    (total > 0 && !idle.is_empty()).then(|| {
        format!(
            "{step}: settings without effect in {total} iterations ({epochs} epochs): {}",
            idle.join("; ")
        )
    })
}

struct Training<'a> {
    file: &'a RunFile,
    plan: &'a Plan<'a>,
    /// Iterations of an epoch.
    per_epoch: usize,
    /// Iterations of the training.
    total: usize,
}

impl Training<'_> {
    fn idle(&self) -> Vec<String> {
        let mut idle = match self.plan.step {
            Step::Pretrain => self.of_step_1(),
            Step::TuneAttention => self.queue("attention", &self.file.attention.swapped),
            _ => Vec::new(),
        };
        idle.extend(self.warmup());
        idle.extend(self.optimizer());
        idle.extend(self.watching());
        idle
    }

    fn of_step_1(&self) -> Vec<String> {
        let step = &self.file.pretrain;
        let mut idle: Vec<String> = self.crops().into_iter().collect();
        if step.method.predicts_assignments() {
            idle.extend(self.queue("pretrain", &step.swapped));
            idle.extend(self.frozen_prototypes());
        }
        idle.extend(self.probe());
        if matches!(step.method, Method::PassS | Method::PassP) {
            idle.extend(self.switched_off());
        }
        idle.extend(self.other_methods());
        let backbone = self.file.network.backbone.without_effect();
        idle.extend(backbone.map(|(key, why)| format!("`network.backbone.{key}`: {why}")));
        idle
    }

    fn frozen_prototypes(&self) -> Option<String> {
        let frozen = self.file.pretrain.freeze_prototypes_iterations;
        (frozen >= self.total).then(|| {
            format!(
                "`pretrain.freeze_prototypes_iterations` = {frozen}: the prototypes never learn"
            )
        })
    }

    fn probe(&self) -> Option<String> {
        let probe = self.file.probe.every_epochs;
        (probe > self.plan.batches.epochs)
            .then(|| format!("`probe.every_epochs` = {probe}: there is never a probe"))
    }

    /// Crops of the run file that the method does not look at.
    fn crops(&self) -> Option<String> {
        let step = &self.file.pretrain;
        let [given, drawn] = [&step.views, &step.drawn_views()].map(|views| views.crops());
        (given > drawn).then(|| {
            format!("`pretrain.views.groups`: this method looks at {drawn} of the {given} crops")
        })
    }

    /// Sections of other methods that were changed.
    fn other_methods(&self) -> Vec<String> {
        let table = |step: &PretrainSection| toml::Table::try_from(step).expect("plain data");
        let (own, default) = (
            table(&self.file.pretrain),
            table(&PretrainSection::default()),
        );
        let others = Method::ALL
            .iter()
            .filter(|&&it| it != self.file.pretrain.method);
        let names = others.map(|method| method.name());
        let changed = names.filter(|name| own.get(name) != default.get(name));
        let words = changed.map(|name| format!("`pretrain.{name}`: another method is trained"));
        words.collect()
    }

    /// Settings that were changed of parts that do not take part.
    fn switched_off(&self) -> Vec<String> {
        let step = &self.file.pretrain;
        let default = PretrainSection::default();
        let (alignment, weight) = (&default.alignment, default.p2p_weight);
        let cases = [
            (
                step.method == Method::PassS && step.consistency != default.consistency,
                "`pretrain.consistency`: it belongs to PASS_p",
            ),
            (
                !step.p2p && (step.alignment != *alignment || step.p2p_weight != weight),
                "`pretrain.alignment` and `pretrain.p2p_weight`: `pretrain.p2p` is off",
            ),
            (
                step.shallow.is_empty() && step.supervision != default.supervision,
                "`pretrain.supervision`: `pretrain.shallow` names no stage",
            ),
        ];
        let idle = cases.into_iter().filter(|(is_idle, _)| *is_idle);
        idle.map(|(_, words)| words.to_owned()).collect()
    }

    /// A queue takes part once as many parts of batches as it holds have passed.
    fn queue(&self, section: &str, swapped: &SwappedPredictionConfig) -> Vec<String> {
        let (given, first_epoch) = (swapped.queue_length, swapped.queue_from_epoch);
        if given == 0 {
            return Vec::new();
        }
        let length = format!("`{section}.swapped.queue_length` = {given}");
        let Some(rows) = self.plan.queue else {
            return vec![format!(
                "{length}: for this batch it is less than a batch, so there is never a queue"
            )];
        };
        if first_epoch >= self.plan.batches.epochs {
            return vec![format!(
                "`{section}.swapped.queue_from_epoch` = {first_epoch}: there is never a queue"
            )];
        }
        // Each part of a batch is looked up before it is pushed.
        let filled = first_epoch * self.per_epoch + rows / self.plan.batches.batch;
        let never = filled >= self.total;
        let words = || format!("{length}: it is full after {filled} iterations, so never in use");
        never.then(words).into_iter().collect()
    }

    fn warmup(&self) -> Option<String> {
        let (section, optim) = (self.plan.batches.section, self.plan.batches.optim);
        let epochs = optim.warmup_epochs;
        if epochs == 0 {
            let idle = optim.warmup_lr != 0.0;
            return idle.then(|| format!("`{section}.optim.warmup_lr`: there is no warm-up"));
        }
        let key = format!("`{section}.optim.warmup_epochs` = {epochs}");
        match epochs.cmp(&self.plan.batches.epochs) {
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => Some(format!(
                "`{section}.optim.final_lr`: {key} leaves no epoch for it"
            )),
            std::cmp::Ordering::Greater => Some(format!(
                "`{section}.optim.base_lr` and `final_lr`: {key} never ends"
            )),
        }
    }

    fn optimizer(&self) -> Option<String> {
        let (section, optim) = (self.plan.batches.section, self.plan.batches.optim);
        if optim.decline != Decline::Steps && !optim.step_epochs.is_empty() {
            return Some(format!(
                "`{section}.optim.step_epochs`: `{section}.optim.decline` is not \"steps\""
            ));
        }
        let idle = optim.lr_in_buffer && optim.algorithm == Algorithm::Adamw;
        idle.then(|| format!("`{section}.optim.lr_in_buffer`: AdamW has another buffer"))
    }

    fn watching(&self) -> Vec<String> {
        let (checkpoints, health) = (&self.file.checkpoints, &self.file.health);
        let (total, epochs) = (self.total, self.plan.batches.epochs);
        let cases = [
            (
                health.every_iterations > total,
                "health.every_iterations",
                health.every_iterations,
                "the network is looked at in the last iteration alone",
            ),
            // A finished training leaves weights and no checkpoint.
            (
                checkpoints.epochs > 1 && checkpoints.epochs >= epochs,
                "checkpoints.epochs",
                checkpoints.epochs,
                "it never comes to a checkpoint",
            ),
            (
                checkpoints.iterations >= total.max(1),
                "checkpoints.iterations",
                checkpoints.iterations,
                "it never comes to a checkpoint",
            ),
        ];
        let idle = cases.into_iter().filter(|(is_idle, ..)| *is_idle);
        idle.map(|(_, key, value, words)| format!("`{key}` = {value}: {words}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line of a step with these settings, of ten iterations in two epochs of batches of eight.
    fn line(step: Step, settings: &[&str]) -> String {
        let quiet = [
            "pretrain.freeze_prototypes_iterations=0",
            "health.every_iterations=10",
            "pretrain.swapped.queue_length=0",
            "attention.swapped.queue_length=0",
        ];
        let short = ["pretrain", "attention", "finetune"]
            .map(|section| [format!("{section}.epochs=2"), format!("{section}.batch=8")]);
        let settings = quiet.iter().chain(settings).map(|text| text.to_string());
        let settings = short.into_iter().flatten().chain(settings);
        let file = RunFile::parse("", "test", &settings.collect::<Vec<_>>()).unwrap();
        let queue = match step {
            Step::Pretrain => file.pretrain.swapped.queue_length,
            Step::TuneAttention => file.attention.swapped.queue_length,
            _ => 0,
        };
        let queue = (queue >= 8).then_some(queue / 8 * 8);
        let plan = Plan::new(step, &file, 40, queue);
        without_effect(&file, &plan, 5).unwrap_or_default()
    }

    const STEPS: [Step; 3] = [Step::Pretrain, Step::TuneAttention, Step::Finetune];

    #[test]
    fn settings_with_an_effect_are_not_told() {
        for step in STEPS {
            assert_eq!(line(step, &["checkpoints.epochs=1"]), "");
        }
        let last = [
            "pretrain.swapped.queue_length=80", // full when the tenth batch was the last
            "pretrain.swapped.queue_from_epoch=0",
            "pretrain.batch=8",
        ];
        assert!(line(Step::Pretrain, &last).contains("queue_length"));
        let used = [
            "pretrain.batch=8",
            "pretrain.swapped.queue_from_epoch=1",
            "pretrain.swapped.queue_length=32", // full after 5 + 4 of 10 iterations
            "pretrain.freeze_prototypes_iterations=9",
            "pretrain.optim.warmup_epochs=1",
            "probe.every_epochs=2",
            "checkpoints.iterations=9",
        ];
        assert_eq!(line(Step::Pretrain, &used), "");
    }

    #[test]
    fn each_setting_without_effect_is_told_by_key() {
        let idle = [
            "swapped.queue_length=40",
            "swapped.queue_from_epoch=1",
            "batch=8",
        ];
        for (step, section) in [
            (Step::Pretrain, "pretrain"),
            (Step::TuneAttention, "attention"),
        ] {
            let settings = idle.map(|setting| format!("{section}.{setting}"));
            let said = line(step, &settings.each_ref().map(String::as_str));
            assert!(
                said.contains(&format!("`{section}.swapped.queue_length` = 40")),
                "{said}"
            );
        }
        for (setting, fact) in [
            (
                "pretrain.freeze_prototypes_iterations=10",
                "freeze_prototypes_iterations",
            ),
            ("probe.every_epochs=3", "probe.every_epochs"),
            ("pretrain.consistency.weight=2", "pretrain.consistency"),
            ("pretrain.byol.dim=2", "`pretrain.byol`"),
            ("pretrain.method=\"simsiam\"", "2 of the 8 crops"),
        ] {
            let said = line(Step::Pretrain, &[setting]);
            assert!(said.contains(fact), "{said}");
            assert_eq!(line(Step::Finetune, &[setting]), "", "{setting}");
        }
        let late = [
            "pretrain.batch=8",
            "pretrain.swapped.queue_length=8",
            "pretrain.swapped.queue_from_epoch=2",
        ];
        assert!(line(Step::Pretrain, &late).contains("queue_from_epoch` = 2"));
    }

    #[test]
    fn warm_up_and_intervals_beyond_the_end_are_told_in_each_training() {
        for (step, section) in STEPS.into_iter().zip(["pretrain", "attention", "finetune"]) {
            for (setting, fact) in [
                (format!("{section}.optim.warmup_epochs=3"), "base_lr"),
                (format!("{section}.optim.warmup_epochs=2"), "final_lr"),
                (format!("{section}.optim.warmup_lr=0.1"), "warmup_lr"),
                (format!("{section}.optim.step_epochs=[1]"), "step_epochs"),
                (
                    "health.every_iterations=11".to_owned(),
                    "health.every_iterations",
                ),
                ("checkpoints.epochs=2".to_owned(), "checkpoints.epochs"),
                (
                    "checkpoints.iterations=10".to_owned(),
                    "checkpoints.iterations",
                ),
            ] {
                let said = line(step, &[&setting]);
                assert!(said.contains(fact), "no {fact} in {said:?}");
                assert_eq!(said.matches(';').count(), 0, "{said}");
            }
        }
    }
}

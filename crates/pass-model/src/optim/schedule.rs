//! The learning rate: linear warm-up, then half a cosine, iteration by iteration.
//!
//! Rates above 1 are ordinary here: LARS multiplies them with a trust ratio near 0.001, and the
//! reference trains its pixel attention with a base rate of 6.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::OptimConfig;

/// Learning rate of each iteration of a training.
///
/// `warmup` iterations rise linearly from `start` to `base`, both included; the remaining
/// `T = total - warmup` follow `last + ½ (base - last) (1 + cos(π t / T))`, `t = 0..T`. So `base`
/// occurs twice with a warm-up, and `last` is approached and not reached, as in the reference.
/// An exclusive warm-up ends one step below `base`, which the cosine begins with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineSchedule {
    /// Highest rate.
    pub base: f64,
    /// Rate that the end approaches.
    pub last: f64,
    /// Iterations of the whole training, warm-up included.
    pub total: u64,
    /// Rate of the first iteration of the warm-up.
    pub start: f64,
    /// Iterations of the warm-up; 0 in every published run.
    pub warmup: u64,
    /// Where the warm-up ends.
    pub warmup_end: WarmupEnd,
}

/// Where a warm-up of `W` iterations ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmupEnd {
    /// At the base rate: `start + (base - start)·k / (W - 1)`, as SwAV and DINO.
    #[default]
    Inclusive,
    /// One step below: `start + (base - start)·k / W`, as SimCLR, BYOL, PixPro, Barlow Twins, VICReg
    /// and MoCo v3.
    Exclusive,
}

impl CosineSchedule {
    /// A schedule without warm-up.
    pub fn new(base: f64, last: f64, total: u64) -> Self {
        Self {
            base,
            last,
            total,
            start: base,
            warmup: 0,
            warmup_end: WarmupEnd::Inclusive,
        }
    }

    /// The same schedule, whose first `warmup` iterations rise from `start`.
    pub fn with_warmup(self, start: f64, warmup: u64) -> Self {
        Self {
            start,
            warmup,
            ..self
        }
    }

    /// Learning rate of an iteration, counted from 0; `last` from iteration `total` on.
    pub fn rate(&self, iteration: u64) -> f64 {
        if iteration >= self.total {
            return self.last;
        }
        if iteration < self.warmup {
            return self.warmup_rate(iteration);
        }
        let progress = (iteration - self.warmup) as f64 / (self.total - self.warmup) as f64;
        half_cosine([self.base, self.last], progress)
    }

    fn warmup_rate(&self, iteration: u64) -> f64 {
        let steps = match self.warmup_end {
            WarmupEnd::Inclusive => self.warmup.saturating_sub(1).max(1),
            WarmupEnd::Exclusive => self.warmup,
        };
        self.start + (self.base - self.start) * (iteration as f64 / steps as f64)
    }
}

/// `last + ½ (first - last) (1 + cos(π progress))`.
fn half_cosine([first, last]: [f64; 2], progress: f64) -> f64 {
    last + 0.5 * (first - last) * (1.0 + (PI * progress).cos())
}

/// How the learning rate falls behind the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decline {
    /// By half a cosine, from iteration to iteration.
    #[default]
    Cosine,
    /// By half a cosine, from epoch to epoch, as MoCo, AdCo, PCL, DenseCL and SimSiam.
    CosineOfEpochs,
    /// By a factor at some epochs.
    Steps,
}

/// What an update is made with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Learning rate.
    pub lr: f64,
    /// Learning rate of groups that have a constant one.
    pub base_lr: f64,
    /// Weight decay λ.
    pub weight_decay: f64,
}

/// Learning rate and weight decay of each iteration of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    optim: OptimConfig,
    cosine: CosineSchedule,
    per_epoch: u64,
}

impl Schedule {
    /// The schedule of `epochs` epochs of `per_epoch` iterations, with learning rates multiplied by
    /// `factor`.
    pub fn new(optim: &OptimConfig, factor: f64, [per_epoch, epochs]: [u64; 2]) -> Self {
        let warmup = optim.warmup_epochs as u64 * per_epoch;
        let cosine = CosineSchedule {
            warmup_end: optim.warmup_end,
            ..CosineSchedule::new(
                factor * optim.base_lr,
                factor * optim.final_lr,
                per_epoch * epochs,
            )
            .with_warmup(factor * optim.warmup_lr, warmup)
        };
        Self {
            optim: optim.clone(),
            cosine,
            per_epoch,
        }
    }

    /// Those of an iteration, counted from 0.
    pub fn rates(&self, iteration: u64) -> Rates {
        Rates {
            lr: self.lr(iteration),
            base_lr: self.cosine.base,
            weight_decay: self.weight_decay(iteration),
        }
    }

    fn lr(&self, iteration: u64) -> f64 {
        if iteration < self.cosine.warmup {
            return self.cosine.rate(iteration);
        }
        let epoch = iteration / self.per_epoch.max(1);
        match self.optim.decline {
            Decline::Cosine => self.cosine.rate(iteration),
            Decline::CosineOfEpochs => self.cosine.rate(epoch * self.per_epoch),
            Decline::Steps => {
                let steps = self.optim.step_epochs.iter();
                let passed = steps.filter(|&&step| step as u64 <= epoch).count();
                self.cosine.base * self.optim.step_factor.powi(passed as i32)
            }
        }
    }

    /// By half a cosine over all iterations, where it changes.
    fn weight_decay(&self, iteration: u64) -> f64 {
        let first = self.optim.weight_decay;
        let Some(last) = self.optim.final_weight_decay else {
            return first;
        };
        let progress = iteration as f64 / self.cosine.total.max(1) as f64;
        half_cosine([first, last], progress.min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schedule: CosineSchedule, expected: &[f64], tolerance: f64) {
        assert_eq!(schedule.total as usize, expected.len());
        for (iteration, expected) in expected.iter().enumerate() {
            let rate = schedule.rate(iteration as u64);
            assert!(
                (rate - expected).abs() < tolerance,
                "{iteration}: {rate} not {expected}"
            );
        }
    }

    /// The reference's formula, to seven decimals.
    #[test]
    fn ten_iterations_follow_half_a_cosine() {
        let expected = [
            0.6, 0.5853316, 0.5427624, 0.4764592, 0.3929124, 0.3003, 0.2076876, 0.1241408,
            0.0578376, 0.0152684,
        ];
        check(CosineSchedule::new(0.6, 6e-4, 10), &expected, 6e-8);
    }

    #[test]
    fn the_warm_up_reaches_the_base_rate_and_the_cosine_starts_there() {
        let schedule = CosineSchedule::new(4.0, 0.0, 7).with_warmup(1.0, 4);
        check(schedule, &[1.0, 2.0, 3.0, 4.0, 4.0, 3.0, 1.0], 1e-12);
    }

    #[test]
    fn a_warm_up_of_one_iteration_is_its_start() {
        assert_eq!(
            CosineSchedule::new(4.0, 0.0, 9).with_warmup(0.5, 1).rate(0),
            0.5
        );
    }

    #[test]
    fn after_the_end_the_last_rate_stays() {
        let schedule = CosineSchedule::new(6.0, 6e-4, 5);
        assert_eq!([schedule.rate(5), schedule.rate(500)], [6e-4, 6e-4]);
    }

    fn rates_of(optim: OptimConfig, per_epoch: u64, epochs: u64) -> Vec<f64> {
        let schedule = Schedule::new(&optim, 1.0, [per_epoch, epochs]);
        let iterations = 0..per_epoch * epochs;
        iterations.map(|k| schedule.rates(k).lr).collect()
    }

    fn optim(base_lr: f64, final_lr: f64) -> OptimConfig {
        OptimConfig {
            base_lr,
            final_lr,
            ..Default::default()
        }
    }

    #[track_caller]
    fn assert_rates(actual: &[f64], expected: &[f64]) {
        assert_eq!(actual.len(), expected.len());
        for (actual, expected) in actual.iter().zip(expected) {
            assert!((actual - expected).abs() < 6e-9, "{actual} not {expected}");
        }
    }

    /// Ten iterations, of which two warm up, by the formulas of SimCLR, PixPro, Barlow Twins and DINO,
    /// computed outside.
    #[test]
    fn warm_ups_are_those_of_the_methods() {
        let simclr = [
            0.0, 0.15, 0.3, 0.28858193, 0.25606602, 0.20740251, 0.15, 0.09259749, 0.04393398,
            0.01141807,
        ];
        let pixpro = [
            0.01, 0.505, 1.0, 0.9619398, 0.85355354, 0.69134202, 0.5000005, 0.30865898, 0.14644746,
            0.0380612,
        ];
        let barlow = [
            0.0, 0.25, 0.5, 0.48098891, 0.42684992, 0.34582519, 0.25025, 0.15467481, 0.07365008,
            0.01951109,
        ];
        let dino = [
            0.0, 0.03, 0.03, 0.02885823, 0.02560675, 0.02074056, 0.0150005, 0.00926044, 0.00439425,
            0.00114277,
        ];
        use WarmupEnd::{Exclusive, Inclusive};
        for (base, last, start, end, expected) in [
            (0.3, 0.0, 0.0, Exclusive, simclr),
            (1.0, 1e-6, 0.01, Exclusive, pixpro),
            (0.5, 5e-4, 0.0, Exclusive, barlow),
            (0.03, 1e-6, 0.0, Inclusive, dino),
        ] {
            let config = OptimConfig {
                warmup_epochs: 1,
                warmup_lr: start,
                warmup_end: end,
                ..optim(base, last)
            };
            assert_rates(&rates_of(config, 2, 5), &expected);
        }
    }

    #[test]
    fn the_cosine_of_epochs_keeps_its_rate_within_an_epoch() {
        let config = OptimConfig {
            decline: Decline::CosineOfEpochs,
            ..optim(0.03, 0.0)
        };
        let of_epochs = [0.03, 0.0256066017, 0.015, 0.0043933983];
        let twice: Vec<f64> = of_epochs.iter().flat_map(|&rate| [rate; 2]).collect();
        assert_rates(&rates_of(config, 2, 4), &twice);
    }

    #[test]
    fn steps_multiply_the_rate_from_their_epoch_on() {
        let config = OptimConfig {
            decline: Decline::Steps,
            step_epochs: vec![1, 3],
            ..optim(0.1, 0.0)
        };
        assert_rates(&rates_of(config, 1, 4), &[0.1, 0.01, 0.01, 0.001]);
    }

    /// By hand: a quarter of the way of half a cosine is (1 + cos 45°) / 2.
    #[test]
    fn weight_decay_rises_by_half_a_cosine() {
        let config = OptimConfig {
            weight_decay: 0.04,
            final_weight_decay: Some(0.4),
            ..optim(0.1, 0.0)
        };
        let schedule = Schedule::new(&config, 2.0, [2, 2]);
        let decays: Vec<f64> = (0..4).map(|k| schedule.rates(k).weight_decay).collect();
        let quarter = 0.4 - 0.36 * (1.0 + 0.5f64.sqrt()) / 2.0;
        assert_rates(&decays, &[0.04, quarter, 0.22, 0.44 - quarter]);
        assert_eq!(schedule.rates(1).base_lr, 0.2);
    }

    /// float64 on both sides: only the order of operations may differ.
    #[test]
    fn agrees_with_the_golden_schedules() {
        let mut golden = golden::open("lr_schedule.npz");
        let plain = CosineSchedule::new(0.6, 6e-4, 100);
        check(
            plain,
            golden.numbers("luss50_n5_ep20").as_slice().unwrap(),
            1e-14,
        );
        let warm = CosineSchedule::new(4.8, 0.0048, 84).with_warmup(0.3, 21);
        check(
            warm,
            golden.numbers("swav_n7_ep12_warm3").as_slice().unwrap(),
            1e-13,
        );
    }
}

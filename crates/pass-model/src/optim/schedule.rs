//! The learning rate: linear warm-up, then half a cosine, iteration by iteration.
//!
//! Rates above 1 are ordinary here: LARS multiplies them with a trust ratio near 0.001, and the
//! reference trains its pixel attention with a base rate of 6.

use std::f64::consts::PI;

/// Learning rate of each iteration of a training.
///
/// `warmup` iterations rise linearly from `start` to `base`, both included; the remaining
/// `T = total - warmup` follow `last + ½ (base - last) (1 + cos(π t / T))`, `t = 0..T`. So `base`
/// occurs twice with a warm-up, and `last` is approached and not reached, as in the reference.
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
        self.last + 0.5 * (self.base - self.last) * (1.0 + (PI * progress).cos())
    }

    fn warmup_rate(&self, iteration: u64) -> f64 {
        let steps = self.warmup.saturating_sub(1).max(1) as f64;
        self.start + (self.base - self.start) * (iteration as f64 / steps)
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

//! The comparison itself: it has to notice what differs.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use device_check::{Lab, OPERATION, assert_agreement, tested};

/// How far off the second run of [`check`] is: 20 times what is tolerated, 2e-4 in float32.
fn off() -> f64 {
    20.0 * OPERATION.of(tested().products)
}

/// A computation whose second run, which is that of the device under test, is off by [`off`].
fn check(compute: impl Fn(&mut Lab, f64)) {
    let runs = Cell::new(0);
    assert_agreement(OPERATION, |lab| {
        compute(lab, [1.0, 1.0 + off()][runs.get()]);
        runs.set(runs.get() + 1);
    });
}

/// That the check fails, and tells of `what` how far it is off.
#[track_caller]
fn assert_noticed(what: &str, compute: impl Fn(&mut Lab, f64)) {
    let panic = catch_unwind(AssertUnwindSafe(|| check(compute))).expect_err("it was not noticed");
    let message = panic.downcast::<String>().expect("a message with figures");
    let expected = format!("{what}: {:.1e}", off());
    assert!(message.contains(&expected), "no {expected} in {message}");
}

#[test]
fn another_value_is_noticed() {
    assert_noticed("Value of y", |lab, factor| {
        let x = lab.constant([3, 5]);
        lab.value("y", x * factor);
    });
}

#[test]
fn another_gradient_is_noticed() {
    assert_noticed("Gradient of x", |lab, factor| {
        let x = lab.input("x", [3, 5]);
        // the value is the same, the slope is not
        lab.output("y", x.clone() * factor - x.detach() * (factor - 1.0));
    });
}

#[test]
#[should_panic(expected = "Gradient of x: inf")]
fn a_missing_gradient_is_noticed() {
    check(|lab, _| {
        let x = lab.input("x", [3, 5]);
        let other = lab.input("other", [3, 5]);
        lab.output("y", x.detach() + other);
    });
}

#[test]
#[should_panic(expected = "Value of y: inf")]
fn a_nan_is_noticed_even_on_both_devices() {
    check(|lab, _| {
        let x = lab.constant([3, 5]);
        lab.value("y", x.clone() * 0.0 / (x * 0.0));
    });
}

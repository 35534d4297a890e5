//! Runs a computation on both devices and compares.

use burn::tensor::Device;

use crate::{
    device::{Products, tested},
    lab::Lab,
    note::{Kind, Note, Values},
};

/// Largest distance of a tensor from the CPU's: root mean square of the difference, as a fraction
/// of the root mean square of the CPU's numbers.
///
/// A tensor of less than a thousandth of the largest of its computation is zero up to rounding, as
/// the gradient of a bias in front of a norm is, and is measured against that largest one.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Where products are computed in float32.
    pub float32: f64,
    /// Where they may be computed in TF32.
    pub tf32: f64,
}

/// For one operation or a few.
///
/// Float32 rounds to 6e-8. Sums of up to a thousand terms in another order, and the exponentials
/// of Sinkhorn-Knopp, whose arguments go to -40, cost about two digits. TF32 rounds the factors of
/// a product to 5e-4.
pub const OPERATION: Tolerance = Tolerance {
    float32: 1e-5,
    tf32: 5e-3,
};

/// For layers with norms and ReLU in a row.
///
/// Each norm divides by a deviation that was itself computed with an error. And a number so close
/// to zero that its sign is a matter of rounding passes a ReLU on one device only: with TF32 that
/// happens to one of a thousand, and moves a gradient by a few hundredths of its size.
pub const NETWORK: Tolerance = Tolerance {
    float32: 1e-4,
    tf32: 1e-1,
};

impl Tolerance {
    /// The one that holds for a way to multiply.
    pub fn of(self, products: Products) -> f64 {
        match products {
            Products::Float32 => self.float32,
            Products::PerhapsTf32 => self.tf32,
        }
    }
}

/// Runs `compute` on the CPU and on the device under test and compares all values that it noted,
/// and the gradients of the sum of its outputs with respect to its inputs and modules.
///
/// # Panics
///
/// If they disagree, if nothing was noted, or if there is no such device.
#[track_caller]
pub fn assert_agreement(tolerance: Tolerance, compute: impl Fn(&mut Lab)) {
    let tested = tested();
    let expected = run(&Device::flex(), &compute);
    let actual = run(&tested.device, &compute);
    compare(&expected, &actual, tolerance.of(tested.products));
}

fn run(device: &Device, compute: &impl Fn(&mut Lab)) -> Vec<Note> {
    let mut lab = Lab::new(device);
    compute(&mut lab);
    lab.finish()
}

/// Compares numbers that are on the host already, each relative to the larger of 1 and its size.
///
/// # Panics
///
/// If they disagree.
#[track_caller]
pub fn assert_close(what: &str, cpu: &[f64], device: &[f64], tolerance: f64) {
    assert_eq!(cpu.len(), device.len(), "{what}: how many");
    for (cpu, device) in cpu.iter().zip(device) {
        let distance = (cpu - device).abs() / cpu.abs().max(1.0);
        assert!(
            distance <= tolerance,
            "{what}: CPU {cpu}, device {device}: {distance:.1e}"
        );
    }
}

#[track_caller]
fn compare(expected: &[Note], actual: &[Note], tolerance: f64) {
    assert!(!expected.is_empty(), "nothing was noted");
    assert_eq!(expected.len(), actual.len(), "how much was noted");
    let mut worst = (0.0, "equal to the last bit".to_owned());
    let mut failures = Vec::new();
    for (expected_note, actual_note) in expected.iter().zip(actual) {
        let largest = largest_size(expected, expected_note.kind);
        let error = error(expected_note, actual_note, largest);
        let line = format!(
            "{:?} of {}: {error:.1e}",
            expected_note.kind, expected_note.name
        );
        if error > tolerance {
            failures.push(line.clone());
        }
        if error > worst.0 {
            worst = (error, line);
        }
    }
    println!(
        "largest distance of {} tensors: {:.1e} of {tolerance:.0e} allowed ({})",
        expected.len(),
        worst.0,
        worst.1
    );
    assert!(
        failures.is_empty(),
        "farther than {tolerance:.0e} from the CPU:\n{}",
        failures.join("\n")
    );
}

/// Size of the largest tensor of a kind.
fn largest_size(notes: &[Note], kind: Kind) -> f64 {
    let same = notes.iter().filter(|note| note.kind == kind);
    same.filter_map(|note| note.tensor.as_ref())
        .map(Values::size)
        .fold(0.0, f64::max)
}

fn error(expected: &Note, actual: &Note, largest: f64) -> f64 {
    assert_eq!(expected.name, actual.name, "the order of the notes");
    let (Some(expected), Some(actual)) = (&expected.tensor, &actual.tensor) else {
        return f64::INFINITY; // no gradient
    };
    let distance = expected.distance(actual);
    let size = expected.size();
    if distance == 0.0 || distance.is_infinite() {
        return distance;
    }
    distance / if size < 1e-3 * largest { largest } else { size }
}

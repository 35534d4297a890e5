//! Self-distillation of DINO (Caron et al. 2021, <https://arxiv.org/abs/2104.14294>, §3.1): the student
//! gives each view the distribution over prototypes that the teacher gives another view of the picture.

use burn::tensor::{Tensor, activation::softmax, assert_shape};

use super::soft_cross_entropy;

/// Temperatures of the two softmaxes; lower is sharper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DinoTemperatures {
    /// τ_s
    pub student: f64,
    /// τ_t
    pub teacher: f64,
}

/// DINO's loss: the mean cross-entropy of each student view against each teacher view but itself.
///
/// The teacher's logits are centred and sharpened; they and the centre are constants. At collapse it
/// is `ln K` where all distributions are uniform, and 0 where all are the same single prototype.
///
/// # Shapes
///
/// - `students`: for each view `[pictures, prototypes]`, the two global views first
/// - `teachers`: the same of the two global views
/// - `centre`: `[prototypes]`
/// - output: `[1]`
///
/// # Panics
///
/// If the shapes differ or there are less than two views.
pub fn dino_loss(
    students: &[Tensor<2>],
    teachers: [Tensor<2>; 2],
    centre: Tensor<1>,
    temperatures: DinoTemperatures,
) -> Tensor<1> {
    assert!(students.len() > 1, "two views at least");
    let [_, prototypes] = teachers[0].dims();
    assert_shape!(centre, [prototypes]);
    let centre = centre.unsqueeze_dim::<2>(0).detach();
    let targets = teachers
        .map(|logits| softmax((logits.detach() - centre.clone()) / temperatures.teacher, 1));
    let pairs = targets.iter().enumerate().flat_map(|(own, target)| {
        let others = students
            .iter()
            .enumerate()
            .filter(move |(view, _)| *view != own);
        others.map(move |(_, student)| {
            soft_cross_entropy(student.clone(), target.clone(), temperatures.student)
        })
    });
    let count = 2 * (students.len() - 1);
    let sum = pairs.reduce(|sum, next| sum + next);
    sum.expect("two views make two pairs") / count as f64
}

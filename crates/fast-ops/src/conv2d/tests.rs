//! Output and gradients against sums over all places, without any layout.

use burn::tensor::{DType, Device, Tensor, TensorData, module, ops::ConvOptions};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

use crate::{
    conv2d,
    tests::{distance, doubles, of_threads, values},
};

/// Settings by axis.
struct Case {
    batch: usize,
    /// In and out.
    channels: [usize; 2],
    side: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    /// Before and after.
    padding: [(usize, usize); 2],
    dilation: [usize; 2],
    groups: usize,
}

/// A plain convolution.
const fn case(batch: usize, channels: [usize; 2], side: [usize; 2], kernel: usize) -> Case {
    Case {
        batch,
        channels,
        side,
        kernel: [kernel; 2],
        stride: [1; 2],
        padding: [(kernel / 2, kernel / 2); 2],
        dilation: [1; 2],
        groups: 1,
    }
}

const fn with_stride(case: Case, stride: usize) -> Case {
    Case {
        stride: [stride; 2],
        ..case
    }
}

const fn in_groups(case: Case, groups: usize) -> Case {
    Case { groups, ..case }
}

const CASES: [Case; 33] = [
    case(2, [3, 4], [9, 8], 3),
    with_stride(case(3, [5, 2], [9, 8], 3), 2),
    with_stride(case(1, [3, 5], [15, 14], 7), 2),
    case(2, [6, 3], [5, 7], 1),
    with_stride(case(2, [6, 3], [5, 7], 1), 2),
    case(2, [70, 2], [4, 4], 3),    // several blocks of channels
    case(9, [2, 3], [30, 29], 3),   // several blocks of places
    case(1, [5, 140], [14, 15], 3), // one picture, its output channels shared out
    case(1, [70, 3], [15, 14], 1),  // the same of the input, nothing laid out
    with_stride(case(2, [3, 4], [30, 29], 1), 2),
    with_stride(case(2, [3, 4], [1, 1], 7), 2), // less than the kernel on both sides
    with_stride(case(1, [2, 3], [9, 2], 7), 2),
    case(2, [3, 2], [2, 1], 3),
    case(11, [4, 3], [6, 7], 3), // groups of pictures, the last smaller
    Case {
        kernel: [3, 2],
        stride: [2, 3],
        padding: [(2, 2), (1, 1)],
        dilation: [2, 1],
        ..case(2, [2, 3], [11, 9], 3)
    },
    Case {
        padding: [(4, 4); 2], // some places see padding alone
        ..case(1, [1, 1], [3, 3], 3)
    },
    Case {
        padding: [(0, 1), (1, 2)],
        ..with_stride(case(2, [3, 4], [6, 9], 3), 2)
    },
    Case {
        padding: [(0, 1), (0, 2)], // a larger map from single weights
        ..case(1, [3, 4], [14, 15], 1)
    },
    Case {
        padding: [(0, 1), (0, 2)], // the same of several pictures
        ..case(3, [3, 4], [5, 7], 1)
    },
    in_groups(case(2, [5, 5], [9, 8], 3), 5), // one channel a group
    in_groups(case(3, [3, 3], [14, 15], 7), 3),
    in_groups(case(2, [4, 4], [7, 7], 7), 4),
    in_groups(with_stride(case(2, [3, 3], [9, 8], 3), 2), 3),
    in_groups(with_stride(case(2, [3, 3], [10, 11], 5), 2), 3),
    in_groups(with_stride(case(2, [3, 3], [1, 2], 5), 2), 3), // less than the kernel
    in_groups(with_stride(case(2, [3, 3], [7, 5], 1), 2), 3), // rows that no weight meets
    in_groups(case(2, [3, 6], [6, 5], 3), 3),                 // twice as many out
    in_groups(case(2, [6, 3], [6, 5], 3), 3),
    in_groups(case(2, [12, 15], [9, 10], 3), 3),
    in_groups(case(3, [66, 70], [5, 6], 3), 2), // as products
    in_groups(with_stride(case(3, [70, 66], [5, 6], 3), 2), 2),
    Case {
        kernel: [3, 5],
        stride: [2, 3],
        padding: [(2, 1), (0, 3)],
        dilation: [2, 3],
        ..in_groups(case(2, [4, 6], [13, 17], 3), 2)
    },
    Case {
        dilation: [3; 2],
        padding: [(9, 9); 2],
        ..in_groups(case(1, [130, 130], [30, 12], 7), 130) // several tasks
    },
];

impl Case {
    fn options(&self) -> ConvOptions<2> {
        ConvOptions::new_with_padding(self.stride, self.padding, self.dilation, self.groups)
    }

    fn input_shape(&self) -> [usize; 4] {
        [self.batch, self.channels[0], self.side[0], self.side[1]]
    }

    fn weight_shape(&self) -> [usize; 4] {
        let [inputs, outputs] = self.channels;
        [
            outputs,
            inputs / self.groups,
            self.kernel[0],
            self.kernel[1],
        ]
    }

    /// Row or column of the input that a weight meets at a place of the output.
    fn met(&self, axis: usize, place: usize, tap: usize) -> Option<usize> {
        let at = place * self.stride[axis] + tap * self.dilation[axis];
        let at = at.checked_sub(self.padding[axis].0)?;
        (at < self.side[axis]).then_some(at)
    }

    /// All (output, input, weight) that are multiplied, by their positions.
    fn meetings(&self, places: [usize; 2]) -> Vec<[usize; 3]> {
        let [inputs, outputs] = self.channels;
        let (own, outs) = (inputs / self.groups, outputs / self.groups);
        let taps = self.kernel[0] * self.kernel[1];
        let mut all = Vec::new();
        for [b, o, c] in triples([self.batch, outputs, own]) {
            for [y, x, tap] in triples([places[0], places[1], taps]) {
                let row = self.met(0, y, tap / self.kernel[1]);
                let column = self.met(1, x, tap % self.kernel[1]);
                if let (Some(row), Some(column)) = (row, column) {
                    all.push([
                        ((b * outputs + o) * places[0] + y) * places[1] + x,
                        ((b * inputs + o / outs * own + c) * self.side[0] + row) * self.side[1]
                            + column,
                        (o * own + c) * taps + tap,
                    ]);
                }
            }
        }
        all
    }
}

fn triples([a, b, c]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..a * b * c).map(move |i| [i / (b * c), i / c % b, i % c])
}

/// Sixteenths from -2 to 2: float32 adds their products without rounding.
fn numbers(random: &mut ChaCha8Rng, shape: [usize; 4]) -> Vec<f32> {
    (0..shape.iter().product())
        .map(|_| (random.next_u32() % 65) as f32 / 16.0 - 2.0)
        .collect()
}

fn tensor(values: &[f32], shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

#[test]
fn output_and_gradients_are_the_sums_over_all_places() {
    let device = Device::flex().autodiff();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for (index, case) in CASES.iter().enumerate() {
        let shapes = [case.input_shape(), case.weight_shape()];
        let [maps, weights] = shapes.map(|shape| numbers(&mut random, shape));
        let x = tensor(&maps, shapes[0], &device).require_grad();
        let w = tensor(&weights, shapes[1], &device).require_grad();
        let y = conv2d(x.clone(), w.clone(), None, case.options());
        let pulls = numbers(&mut random, y.dims());
        let pull = tensor(&pulls, y.dims(), &device);
        let gradients = (y.clone() * pull).sum().backward();

        let [mut output, mut dx, mut dw] = [&pulls, &maps, &weights].map(|v| vec![0.0; v.len()]);
        let [_, _, rows, columns] = y.dims();
        for [o, i, w] in case.meetings([rows, columns]) {
            output[o] += maps[i] * weights[w];
            dx[i] += pulls[o] * weights[w];
            dw[w] += pulls[o] * maps[i];
        }
        assert_eq!(values(y.inner()), output, "output of case {index}");
        assert_eq!(
            values(x.grad(&gradients).unwrap()),
            dx,
            "input of case {index}"
        );
        assert_eq!(
            values(w.grad(&gradients).unwrap()),
            dw,
            "weights of case {index}"
        );
    }
}

/// Output and gradients of input and weights, of numbers that round.
fn computed(conv: Conv, case: &Case, dtype: DType) -> [Vec<f64>; 3] {
    let device = Device::flex().autodiff();
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let [x, w] = [case.input_shape(), case.weight_shape()].map(|shape| {
        let values = tensor(&numbers(&mut random, shape), shape, &device) / 3.0;
        values.cast(dtype).require_grad()
    });
    let y = conv(x.clone(), w.clone(), None, case.options());
    let pull = tensor(&numbers(&mut random, y.dims()), y.dims(), &device) / 3.0;
    let gradients = (y.clone() * pull.cast(dtype)).sum().backward();
    let [dx, dw] = [x, w].map(|tensor| tensor.grad(&gradients).unwrap());
    [y.inner(), dx, dw].map(doubles)
}

type Conv = fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>, ConvOptions<2>) -> Tensor<4>;

/// Against burn's convolution in float64; how far burn's own in float32 is, it says.
#[test]
fn it_is_as_near_to_float64_as_float32_can_be() {
    for case in [
        case(4, [64, 64], [28, 28], 3),
        with_stride(case(4, [64, 128], [28, 28], 3), 2),
        case(16, [128, 128], [7, 7], 3),
        with_stride(case(4, [3, 16], [64, 64], 7), 2),
        in_groups(case(2, [24, 24], [28, 28], 7), 24),
        in_groups(case(2, [64, 64], [28, 28], 3), 16),
        in_groups(case(2, [64, 64], [14, 14], 3), 4),
        in_groups(case(2, [80, 80], [14, 14], 3), 2),
    ] {
        let exact = computed(module::conv2d, &case, DType::F64);
        let distances = |conv: Conv| {
            let found = computed(conv, &case, DType::F32);
            [0, 1, 2].map(|index| distance(&found[index], &exact[index]))
        };
        let [ours, burns] = [distances(conv2d), distances(module::conv2d)];
        println!("{:?}: {ours:?}, burn {burns:?}", case.weight_shape());
        assert!(ours.iter().all(|&far| far < 1e-6), "{ours:?}");
    }
}

/// Numbers that round, in blocks that threads share.
#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let device = Device::flex().autodiff();
    let mut random = ChaCha8Rng::seed_from_u64(6);
    for case in [
        case(6, [40, 9], [12, 11], 3),
        case(3, [70, 150], [15, 14], 1),
        in_groups(case(6, [40, 40], [12, 11], 5), 40),
        in_groups(case(3, [48, 96], [12, 11], 3), 4),
        in_groups(case(3, [66, 80], [6, 5], 3), 2),
    ] {
        let [x, w] = [case.input_shape(), case.weight_shape()]
            .map(|shape| tensor(&numbers(&mut random, shape), shape, &device) / 3.0);
        let computed = || {
            let (x, w) = (x.clone().require_grad(), w.clone().require_grad());
            let y = conv2d(x.clone(), w.clone(), None, case.options());
            let gradients = y.clone().powi_scalar(2).sum().backward();
            let [dx, dw] = [x, w].map(|tensor| tensor.grad(&gradients).unwrap());
            [y.inner(), dx, dw].map(values)
        };
        let alone = of_threads(1, computed);
        assert_eq!(of_threads(2, computed), alone);
        assert_eq!(of_threads(3, computed), alone);
    }
}

#[test]
fn with_and_without_gradients_and_groups_the_output_is_burns() {
    let device = Device::flex();
    let random = &mut ChaCha8Rng::seed_from_u64(7);
    let x = tensor(&numbers(random, [2, 4, 5, 5]), [2, 4, 5, 5], &device);
    let w = tensor(&numbers(random, [6, 2, 3, 3]), [6, 2, 3, 3], &device);
    for groups in [1, 2] {
        let options = || ConvOptions::new([1, 1], [1, 1], [1, 1], groups);
        let x = x.clone().narrow(1, 0, 2 * groups);
        let expected = values(module::conv2d(x.clone(), w.clone(), None, options()));
        let plain = conv2d(x.clone(), w.clone(), None, options());
        assert_eq!(values(plain), expected, "{groups} groups");
        let trained = conv2d(
            x.autodiff(),
            w.clone().autodiff().require_grad(),
            None,
            options(),
        );
        assert_eq!(
            values(trained.inner()),
            expected,
            "{groups} groups, with gradients"
        );
    }
}

#[test]
fn a_bias_is_added_at_every_place() {
    let device = Device::flex().autodiff();
    let bias = Tensor::<1>::from_floats([0.5, -1.0], &device).require_grad();
    let (x, w) = (
        Tensor::ones([3, 1, 4, 5], &device),
        Tensor::zeros([2, 1, 1, 1], &device),
    );
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    let y = conv2d(x, w.require_grad(), Some(bias.clone()), options);
    let expected = [[0.5; 20], [-1.0; 20]].concat().repeat(3);
    assert_eq!(values(y.clone().inner()), expected);
    let gradient = bias.grad(&y.sum().backward()).unwrap();
    assert_eq!(gradient.into_data().try_to_vec::<f32>().unwrap(), [60.0; 2]);
}

#[test]
#[should_panic(expected = "channels of the bias")]
fn a_bias_of_another_length_is_a_bug() {
    let device = Device::flex();
    let [x, w] = [[1, 1, 4, 5], [4, 1, 1, 1]].map(|shape| Tensor::ones(shape, &device));
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    conv2d(x, w, Some(Tensor::ones([2], &device)), options);
}

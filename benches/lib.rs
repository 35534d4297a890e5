//! Criterion benchmarks of the workspace: one file for each hot loop, named as the source file.
//!
//! This library holds the data they run on. All of it comes from fixed seeds, so that two runs,
//! also on two machines, work on the same numbers. How results are kept: `results/README.md`.

mod mixture;

pub use mixture::{Mixture, mixture};

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use luss_metrics::{IGNORE, LabelMask, OTHER};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// Width and height in pixels of a usual ImageNet picture.
pub const PICTURE_PX: [usize; 2] = [500, 375];

/// Objects in a mask; pictures of ImageNet-S show fewer classes than that.
const OBJECTS: usize = 6;

/// Width of an object's ignored rim, as a share of its squared radius.
const RIM: f32 = 0.2;

/// The first GPU of the backend that the benches were built with (`cuda`, `wgpu`), or else the CPU.
pub fn measured_device() -> Device {
    // Each condition names one feature: a build with none and one with both compile every line.
    let devices: [fn() -> Option<Device>; 2] = [cuda, wgpu];
    let device = devices.into_iter().find_map(|device| device());
    device.unwrap_or_else(Device::flex)
}

#[cfg(feature = "cuda")]
fn cuda() -> Option<Device> {
    Some(Device::cuda(0))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Option<Device> {
    None
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Option<Device> {
    Some(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Option<Device> {
    None
}

/// The device called `cpu`, `cuda`, `cuda:N` or `wgpu`.
///
/// # Panics
///
/// If the benches were built without it.
pub fn device_named(name: &str) -> Device {
    let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
    match (kind, index.parse::<usize>()) {
        ("cpu", Ok(0)) => Device::flex(),
        #[cfg(feature = "cuda")]
        ("cuda", Ok(index)) => Device::cuda(index),
        #[cfg(feature = "wgpu")]
        ("wgpu", Ok(0)) => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        _ => panic!("{name}: cpu, or cuda, cuda:N or wgpu where this was built with that feature"),
    }
}

/// Random numbers of a seed.
pub struct Noise(ChaCha8Rng);

impl Noise {
    /// The numbers of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform in `low..high`.
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        let unit = (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32;
        low + (high - low) * unit
    }

    /// Uniform in `0..n`; `n` is small, the bias is not removed.
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    /// `count` numbers, each uniform in `low..high`.
    pub fn vector(&mut self, count: usize, low: f32, high: f32) -> Vec<f32> {
        (0..count).map(|_| self.uniform(low, high)).collect()
    }

    /// A tensor of numbers uniform in `low..high`, the same on every device.
    pub fn tensor<const D: usize>(
        &mut self,
        shape: [usize; D],
        [low, high]: [f32; 2],
        device: &Device,
    ) -> Tensor<D> {
        let values = self.vector(shape.iter().product(), low, high);
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

/// A mask of [`PICTURE_PX`] with a few objects of `classes` classes, each in an ignored rim.
pub fn truth_mask(classes: u16) -> LabelMask {
    draw(&objects(classes), RIM)
}

/// What a fair model predicts for [`truth_mask`]: shifted objects, every third of another class.
pub fn prediction_mask(classes: u16) -> LabelMask {
    let mut objects = objects(classes);
    for (index, object) in objects.iter_mut().enumerate() {
        object.centre = object.centre.map(|c| c + 7.0);
        if index % 3 == 0 {
            object.class = object.class % classes + 1;
        }
    }
    draw(&objects, 0.0)
}

/// A picture of [`PICTURE_PX`]: smooth waves of colour under noise.
pub fn picture() -> RgbImage {
    let mut noise = Noise::new(2);
    let [width, height] = PICTURE_PX.map(|side| side as u32);
    RgbImage::from_fn(width, height, |x, y| {
        let [x, y] = [x as f32, y as f32];
        let waves = [(x / 31.0).sin(), (y / 17.0).cos(), ((x + y) / 53.0).sin()];
        image::Rgb(waves.map(|wave| (128.0 + 90.0 * wave + noise.uniform(-30.0, 30.0)) as u8))
    })
}

/// An upright ellipse.
struct Object {
    class: u16,
    centre: [f32; 2],
    radii: [f32; 2],
}

fn objects(classes: u16) -> Vec<Object> {
    let mut noise = Noise::new(1);
    let [width, height] = PICTURE_PX.map(|side| side as f32);
    let mut object = |_| Object {
        class: 1 + noise.below(usize::from(classes)) as u16,
        centre: [noise.uniform(0.0, width), noise.uniform(0.0, height)],
        radii: [noise.uniform(25.0, 120.0), noise.uniform(25.0, 120.0)],
    };
    (0..OBJECTS).map(&mut object).collect()
}

/// Later objects cover earlier ones.
fn draw(objects: &[Object], rim: f32) -> LabelMask {
    let [width, height] = PICTURE_PX;
    let label = |pixel: usize| {
        let place = [(pixel % width) as f32, (pixel / width) as f32];
        let newest_first = objects.iter().rev();
        newest_first
            .filter_map(|object| object.label(place, rim))
            .next()
            .unwrap_or(OTHER)
    };
    let labels = (0..width * height).map(label).collect();
    LabelMask::new(width, height, labels).expect("a label for each pixel")
}

impl Object {
    /// Its class inside, ignore in the rim around it, nothing beyond.
    fn label(&self, place: [f32; 2], rim: f32) -> Option<u16> {
        let along = |axis: usize| (place[axis] - self.centre[axis]) / self.radii[axis];
        let squared = along(0) * along(0) + along(1) * along(1);
        match squared {
            _ if squared < 1.0 => Some(self.class),
            _ if squared < 1.0 + rim => Some(IGNORE),
            _ => None,
        }
    }
}

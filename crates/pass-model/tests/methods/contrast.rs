//! MoCo v2, AdCo, PCL and DenseCL, whose keys come from a momentum encoder.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use pass_model::{
    adversaries::AdversariesConfig,
    group::Group,
    method::{
        Clusters, Embed, EpochError, KMeansSettings, Method, Position, ViewBatch,
        adco::{AdCo, AdCoConfig},
        densecl::{DenseCl, DenseClConfig},
        moco_v2::{MoCoV2, MoCoV2Config},
        pcl::{Pcl, PclConfig},
    },
    normalize::l2_normalize,
    shuffle::KeyNormsConfig,
};

use crate::{
    encoders::PAIR,
    hashed::uniform,
    two_steps::{PICTURES, agrees, backbone, batch, fill, loss_of, position, tensors, update},
};

const KEYS: usize = 8;
const DIM: usize = 6;
const CLUSTERS: usize = 5;
/// The numbers of what memories start with.
const MEMORY: u64 = 1 << 22;
/// Two parts of a batch, as the oracles have them.
const PARTS: KeyNormsConfig = KeyNormsConfig {
    pictures: PICTURES / 2,
    shuffle_keys: false,
};

fn device() -> Device {
    Device::default().autodiff()
}

pub(crate) fn moco_v2() -> MoCoV2 {
    let config = MoCoV2Config {
        queue: KEYS,
        momentum: 0.9,
        dim: DIM,
        norms: PARTS,
        ..Default::default()
    };
    MoCoV2::new(config, &backbone(), 0, &device())
}

pub(crate) fn adco() -> AdCo {
    let config = AdCoConfig {
        bank: AdversariesConfig {
            rows: KEYS,
            temperature: 0.1,
            ..Default::default()
        },
        momentum: 0.9,
        dim: DIM,
        norms: PARTS,
        ..Default::default()
    };
    AdCo::new(config, &backbone(), PICTURES, 0, &device())
}

fn pcl_config() -> PclConfig {
    PclConfig {
        queue: KEYS,
        momentum: 0.9,
        dim: DIM,
        warmup_epochs: 1,
        clusters: vec![CLUSTERS],
        negatives: 2,
        norms: PARTS,
        ..Default::default()
    }
}

pub(crate) fn pcl() -> Pcl {
    Pcl::new(pcl_config(), &backbone(), 0, &device())
}

fn densecl_config() -> DenseClConfig {
    DenseClConfig {
        queue: KEYS,
        momentum: 0.9,
        hidden: 10,
        dim: DIM,
        dense_weight: 0.3,
        norms: PARTS,
        ..Default::default()
    }
}

pub(crate) fn densecl() -> DenseCl {
    DenseCl::new(densecl_config(), &backbone(), 0, &device())
}

/// Hashed rows, `[count, DIM]`.
fn rows(number: u64, count: usize) -> Tensor<2> {
    let values = (0..(count * DIM) as u64).map(|i| 2.0 * uniform(MEMORY + number, i) - 1.0);
    let values: Vec<f32> = values.map(|value| value as f32).collect();
    Tensor::from_data(TensorData::new(values, [count, DIM]), &Device::default())
}

fn ring(name: &str, number: u64) -> [(String, TensorData); 2] {
    let keys = l2_normalize(rows(number, KEYS), 1).into_data();
    let next = TensorData::from([0i64]);
    [
        (format!("{name}.rows"), keys),
        (format!("{name}.next"), next),
    ]
}

/// Puts tensors into the memory of a method.
fn remember<M: Method>(method: &mut M, tensors: impl IntoIterator<Item = (String, TensorData)>) {
    let tensors = tensors.into_iter().collect();
    let memory = method.memory().unwrap();
    memory.restore(&tensors, &Group::default()).unwrap();
}

fn saved<M: Method>(method: &mut M) -> BTreeMap<String, TensorData> {
    method.memory().unwrap().save(&Group::default())
}

#[test]
fn two_steps_of_moco_v2_agree() {
    let mut method = moco_v2();
    remember(&mut method, ring("ring", 0));
    agrees("moco_v2", method, PAIR, &device());
}

#[test]
fn two_steps_of_densecl_agree() {
    let mut method = densecl();
    let both = ring("global", 0).into_iter().chain(ring("dense", 1));
    remember(&mut method, both);
    agrees("densecl", method, PAIR, &device());
}

#[test]
fn two_steps_of_adco_agree() {
    let mut method = adco();
    let bank = rows(0, KEYS) * 2.0;
    let tensors = [
        ("bank.velocity", bank.zeros_like().into_data()),
        ("bank.rows", bank.into_data()),
        ("bank.filled", TensorData::from([KEYS as i64])),
    ];
    remember(&mut method, tensors.map(|(name, data)| (name.into(), data)));
    agrees("adco", method, PAIR, &device());
}

/// k-means that finds what the oracle says.
struct Found;

impl Embed for Found {
    /// One cluster is empty.
    fn count(&self) -> usize {
        CLUSTERS
    }

    fn embed(
        &mut self,
        encode: &mut dyn FnMut(Tensor<4>) -> Tensor<2>,
    ) -> Result<Tensor<2>, EpochError> {
        let whole = batch(PAIR, 0, 0, &device()).pair();
        let [first, _] = whole;
        Ok(encode(first))
    }

    fn k_means(
        &mut self,
        rows_of_pictures: Tensor<2>,
        settings: &KMeansSettings,
    ) -> Result<Clusters, EpochError> {
        assert_eq!(rows_of_pictures.dims(), [PICTURES, DIM]);
        Ok(Clusters {
            centroids: rows(1, settings.clusters) * 0.3,
            assignments: vec![0, 2, 2, 4],
        })
    }
}

fn before_epoch(method: &mut Pcl, epoch: usize) {
    let at = Position {
        epoch,
        ..position(0)
    };
    (method.before_epoch(at, &mut Found, &Group::default())).unwrap();
}

#[test]
fn two_steps_of_pcl_agree() {
    let mut method = pcl();
    fill(method.net_mut());
    remember(&mut method, ring("ring", 0));
    before_epoch(&mut method, 1);
    agrees("pcl", method, PAIR, &device());
}

/// To the bit.
#[test]
fn before_its_first_clusters_pcl_is_moco() {
    let (mut pcl, mut moco) = (pcl(), moco_v2());
    before_epoch(&mut pcl, 0);
    for number in 0..2 {
        step(&mut pcl, number);
        step(&mut moco, number);
    }
    assert_eq!(tensors(pcl.net()), tensors(moco.net()));
    assert_eq!(saved(&mut pcl), saved(&mut moco));
}

#[test]
fn more_clusters_than_pictures_are_refused_at_once() {
    let config = PclConfig {
        clusters: vec![3, CLUSTERS + 1],
        ..pcl_config()
    };
    let mut method = Pcl::new(config, &backbone(), 0, &device());
    let error = method.before_epoch(position(0), &mut Found, &Group::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("6 clusters of 5 pictures"), "{error}");
}

#[test]
fn negatives_that_clusters_do_not_have_are_refused() {
    let with = |negatives| PclConfig {
        negatives,
        clusters: vec![90, 50],
        ..pcl_config()
    };
    assert!(with(46).check(PICTURES, PICTURES).is_ok());
    let error = with(47).check(PICTURES, PICTURES).unwrap_err();
    assert_eq!((error.key, &*error.value), ("negatives", "47"));
}

#[test]
fn clusters_hold_for_the_epoch_and_outlive_the_process() {
    let mut method = pcl();
    before_epoch(&mut method, 1);
    let before = saved(&mut method);
    step(&mut method, 0);
    let after = saved(&mut method);
    let clusters = |of: &BTreeMap<String, TensorData>| -> Vec<_> {
        let all = of.clone().into_iter();
        all.filter(|(name, _)| name.starts_with("clusters."))
            .collect()
    };
    assert_eq!(clusters(&before).len(), 2);
    assert_eq!(clusters(&before), clusters(&after));
    let mut resumed = pcl();
    remember(&mut resumed, after.clone());
    assert_eq!(saved(&mut resumed), after);
}

/// One step with its update.
fn step<M: Method>(method: &mut M, number: usize) -> f32 {
    let views = batch(PAIR, 0, number as u64, &device());
    step_on(method, views, number)
}

fn step_on<M: Method>(method: &mut M, views: ViewBatch, number: usize) -> f32 {
    let (loss, gradients) = loss_of(method, views, position(number));
    update(method, &gradients, 1e-3, position(number));
    loss.total.into_scalar()
}

/// The keys of its first batches; then the momentum encoder is a copy again.
#[test]
fn the_first_iterations_of_adco_fill_its_bank() {
    let mut method = adco();
    let start = saved(&mut method);
    for number in 0..2 {
        assert!(!method.bank.is_full());
        step(&mut method, number);
    }
    assert!(method.bank.is_full());
    assert_ne!(saved(&mut method)["bank.rows"], start["bank.rows"]);
    let lengths = method.bank.vectors().square().sum_dim(1);
    golden::assert_near(lengths, [[1.0f32]; KEYS], [1e-5, 0.0]);
    let net = tensors(method.net());
    let parameters = net.iter().filter(|(name, _)| !name.contains(".running_"));
    for (name, value) in parameters {
        if let Some(trained) = name.strip_prefix("momentum.") {
            assert_eq!(value, &net[trained], "{name}");
        }
    }
    step(&mut method, 2);
    assert_ne!(saved(&mut method)["bank.velocity"], start["bank.velocity"]);
}

/// To the bit, and the dense head stays.
#[test]
fn densecl_without_dense_weight_is_moco() {
    let config = DenseClConfig {
        dense_weight: 0.0,
        hidden: 16,
        ..densecl_config()
    };
    let (mut dense, mut moco) = (DenseCl::new(config, &backbone(), 0, &device()), moco_v2());
    dense.net.heads.global = moco.net.projector.clone();
    dense.net.momentum.heads.global = moco.net.momentum.projector.clone();
    let before = tensors(&dense.net.heads.dense);
    for number in 0..2 {
        let views = || batch(PAIR, 0, number as u64, &device());
        let (of_dense, gradients) = loss_of(&mut dense, views(), position(number));
        update(&mut dense, &gradients, 1e-3, position(number));
        let of_moco = step_on(&mut moco, views(), number);
        assert_eq!(of_dense.terms[0].1.clone().into_scalar::<f32>(), of_moco);
    }
    assert_eq!(tensors(&dense.net.backbone), tensors(&moco.net.backbone));
    assert_eq!(tensors(&dense.net.heads.dense), before);
}

#[test]
fn the_dense_weight_of_densecl_waits() {
    let config = DenseClConfig {
        dense_from_iteration: 1,
        ..densecl_config()
    };
    let mut method = DenseCl::new(config, &backbone(), 0, &device());
    for (number, weight) in [(0, 0.0), (1, 0.3)] {
        let views = batch(PAIR, 0, number as u64, &device());
        let (loss, _) = loss_of(&mut method, views, position(number));
        let [contrast, dense] = [0, 1].map(|term| loss.terms[term].1.clone());
        let expected = contrast * (1.0 - weight) + dense * weight;
        golden::assert_near(loss.total, expected.into_data(), [1e-6, 0.0]);
    }
}

/// A batch in two parts is normalised as it is, so that only the order of sums differs.
#[test]
fn moco_in_parts_has_the_loss_of_the_batch() {
    let (mut whole, mut parts) = (moco_v2(), moco_v2());
    let views = batch(PAIR, 0, 0, &device());
    let expected = step_on(&mut whole, batch(PAIR, 0, 0, &device()), 0);
    parts.before_step(position(0), &Group::default());
    let mut sum = 0.0;
    for part in 0..2 {
        let half = PICTURES / 2;
        let pair = views.pair().map(|view| view.narrow(0, part * half, half));
        let batch = ViewBatch {
            groups: vec![Tensor::cat(pair.into(), 0)],
            pictures: (0..half).collect(),
            ..batch(PAIR, 0, 0, &device())
        };
        let loss = parts.loss(batch, &Group::default());
        sum += loss.total.into_scalar::<f32>();
    }
    parts.after_update(position(0), &Group::default());
    assert!(
        (sum / 2.0 - expected).abs() < 1e-5,
        "{sum} / 2, not {expected}"
    );
    let [whole, parts] = [whole, parts].map(|method| method.ring.keys());
    golden::assert_near(parts, whole.into_data(), [1e-4, 1e-5]);
}

/// Where each picture is normalised alone, its key does not depend on the order.
#[test]
fn shuffled_keys_come_back_to_their_queries() {
    let with = |shuffle_keys| {
        let config = MoCoV2Config {
            queue: KEYS,
            dim: DIM,
            norms: KeyNormsConfig {
                pictures: 1,
                shuffle_keys,
            },
            ..Default::default()
        };
        let mut method = MoCoV2::new(config, &backbone(), 0, &device());
        let loss = step(&mut method, 0);
        (loss, method.ring.keys())
    };
    let [(plain, keys), (shuffled, other)] = [false, true].map(with);
    assert!((plain - shuffled).abs() < 1e-6, "{shuffled}, not {plain}");
    golden::assert_near(other, keys.into_data(), [1e-5, 1e-6]);
}

//! The least memory that a run file asks for, estimated before anything is allocated: an allocation
//! that fails ends the process without a word about the setting.

use imagenet_s::views::MultiCropConfig;

use super::{Method, RunFile, check::Fault};

/// Bytes of a number.
const NUMBER: f64 = 4.0;
/// Copies of a weight that a training holds: itself, its gradient, its momentum.
const COPIES: f64 = 3.0;

/// What memory there is for the tensors of a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Memory {
    /// Bytes.
    pub(crate) bytes: f64,
    /// Who has them.
    pub(crate) owner: &'static str,
}

impl Memory {
    /// More than any device has.
    pub(crate) const LARGEST: Self = Self {
        bytes: (1_u64 << 40) as f64,
        owner: "the largest device",
    };
}

/// What data there is, as far as memory depends on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Amount {
    /// Training pictures.
    pub(crate) pictures: usize,
    /// Categories.
    pub(crate) classes: usize,
    /// Processes or devices that share a batch.
    pub(crate) ranks: usize,
}

/// A setting with the numbers that it asks for.
struct Need {
    key: String,
    value: usize,
    what: &'static str,
    numbers: f64,
}

/// Refuses a run file one part of which alone needs more memory than there is.
///
/// The estimates stay below the truth: only what cannot work is refused.
pub(crate) fn check_memory(file: &RunFile, amount: Amount, there: &Memory) -> Result<(), Fault> {
    let needs = [
        network_needs(file),
        training_needs(file, amount),
        label_needs(file, amount),
    ];
    // The network comes first: what a batch keeps follows from its size too.
    let too_large = |need: &Need| need.numbers * NUMBER > there.bytes;
    let Some(need) = needs.into_iter().flatten().find(too_large) else {
        return Ok(());
    };
    let bytes = need.numbers * NUMBER;
    Err(Fault {
        key: need.key,
        value: need.value.to_string(),
        rule: format!(
            "{} need at least {:.0} GiB of memory, and {} has {:.0}: must be lower",
            need.what,
            gib(bytes),
            there.owner,
            gib(there.bytes)
        ),
    })
}

fn gib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 30)
}

fn network_needs(file: &RunFile) -> Vec<Need> {
    let network = &file.network;
    let [hidden, dim, prototypes] =
        [network.hidden, network.feature_dim, network.prototypes].map(|count| count as f64);
    let channels = network.backbone.channels(4) as f64;
    let own_projector = file.pretrain.p2p && file.pretrain.alignment.projection;
    let projectors = usize::from(own_projector) + file.pretrain.shallow.len();
    let projectors = projectors as f64 * hidden * hidden;
    let (size, value) = network.backbone.size();
    let mut needs = vec![
        Need {
            key: format!("network.backbone.{size}"),
            value,
            what: "the backbone's weights, gradients and momentum",
            numbers: COPIES * network.backbone.weights(),
        },
        Need {
            key: "network.hidden".into(),
            value: network.hidden,
            what: "the weights of the heads (with `network.feature_dim`)",
            numbers: COPIES * (channels * hidden + hidden * dim + projectors),
        },
        Need {
            key: "network.prototypes".into(),
            value: network.prototypes,
            what: "the prototypes (times `network.feature_dim`)",
            numbers: COPIES * prototypes * dim,
        },
    ];
    if file.pretrain.method == Method::PassP {
        let section = &file.pretrain.consistency;
        let [hidden, dim] = [section.hidden, section.dim].map(|count| count as f64);
        needs.push(Need {
            key: "pretrain.consistency.hidden".into(),
            value: section.hidden,
            what: "the weights of the projector (with `pretrain.consistency.dim`)",
            numbers: COPIES * (channels * hidden + hidden * dim),
        });
        needs.push(Need {
            key: "pretrain.consistency.dim".into(),
            value: section.dim,
            what: "the weights of the propagation (its square)",
            numbers: COPIES * dim * dim,
        });
    }
    needs
}

/// Numbers of the pixels of a picture.
fn pixels(side: usize) -> f64 {
    3.0 * (side * side) as f64
}

fn training_needs(file: &RunFile, amount: Amount) -> Vec<Need> {
    let (pretrain, attention, finetune) = (&file.pretrain, &file.attention, &file.finetune);
    let backbone = &file.network.backbone;
    let whole = |side| pixels(side) + backbone.kept_values(side);
    let labels = (amount.classes + 1) * (finetune.crop / finetune.label_stride).pow(2);
    let part = |batch: usize, parts: usize| (batch / parts) as f64 / amount.ranks as f64;
    let needs = [
        (
            "pretrain.batch",
            pretrain.batch,
            part(pretrain.batch, pretrain.accumulate) * of_views(&pretrain.drawn_views(), whole),
        ),
        (
            "attention.batch",
            attention.batch,
            part(attention.batch, attention.accumulate) * of_views(&attention.views, pixels),
        ),
        (
            "finetune.batch",
            finetune.batch,
            part(finetune.batch, finetune.accumulate) * (whole(finetune.crop) + labels as f64),
        ),
    ];
    let batches = needs.map(|(key, value, numbers)| Need {
        key: key.into(),
        value,
        what: "its pictures (with their sizes) and what the network keeps of them",
        numbers,
    });
    let queue = |key: &str, section: &pass_model::loss::SwappedPredictionConfig| Need {
        key: key.into(),
        value: section.queue_length,
        what: "the queues and their scores (times `network.feature_dim`, `network.prototypes`)",
        numbers: section.queue_length as f64
            * (2.0 * file.network.feature_dim as f64 + file.network.prototypes as f64),
    };
    let queues = [
        queue("pretrain.swapped.queue_length", &pretrain.swapped),
        queue("attention.swapped.queue_length", &attention.swapped),
    ];
    batches.into_iter().chain(queues).collect()
}

fn of_views(views: &MultiCropConfig, of_side: impl Fn(usize) -> f64) -> f64 {
    let groups = views.groups.iter();
    groups
        .map(|group| group.count as f64 * of_side(group.size))
        .sum()
}

fn label_needs(file: &RunFile, amount: Amount) -> Vec<Need> {
    let backbone = &file.network.backbone;
    // Feature map and attention, four times as wide and high as the last stage.
    let upsampled = |side: usize| {
        let wide = 4 * backbone.map_side(side);
        2.0 * backbone.channels(4) as f64 * wide.pow(2) as f64
    };
    let of = |key: &str, batch: usize, each: f64| Need {
        key: key.into(),
        value: batch,
        what: "its pictures (with their sizes)",
        numbers: batch.min(amount.pictures) as f64 * each,
    };
    let [crop, whole] = [file.cluster.crop, file.predict.resize].map(|side| side as usize);
    let in_the_stem = |side| pixels(side) + backbone.first_map(side);
    vec![
        of("cluster.batch", file.cluster.batch, in_the_stem(crop)),
        of(
            "predict.batch",
            file.predict.batch,
            in_the_stem(whole).max(upsampled(whole)),
        ),
    ]
}

/// The memory of this machine, or of the container, as Linux tells it.
pub(crate) fn machine_memory() -> Option<Memory> {
    let told = std::fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name| {
        let line = told.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024.0)
    };
    let mut bytes = field("MemTotal:")? + field("SwapTotal:").unwrap_or(0.0);
    for limit in [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ] {
        let limit = std::fs::read_to_string(limit).ok();
        let limit = limit.and_then(|text| text.trim().parse::<f64>().ok());
        bytes = bytes.min(limit.unwrap_or(f64::INFINITY));
    }
    let owner = "this machine";
    Some(Memory { bytes, owner })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMOUNT: Amount = Amount {
        pictures: 1000,
        classes: 50,
        ranks: 1,
    };

    fn refused(settings: &[&str], gib: f64) -> Option<String> {
        // Without queues, which would have to hold a batch.
        let off = ["pretrain", "attention"].map(|step| format!("{step}.swapped.queue_length=0"));
        let settings = settings.iter().map(|text| text.to_string());
        let settings: Vec<String> = off.into_iter().chain(settings).collect();
        let file = RunFile::parse("", "published", &settings).unwrap();
        let there = Memory {
            bytes: gib * f64::from(1 << 30),
            owner: "this machine",
        };
        let said = file.check_memory(AMOUNT, &there).err()?;
        Some(said.to_string())
    }

    #[test]
    fn the_setting_that_asks_for_too_much_is_named() {
        for (settings, key) in [
            (
                &["network.backbone.width=4096"][..],
                "network.backbone.width",
            ),
            (&["network.hidden=65536"], "network.hidden"),
            (&["pretrain.batch=65536"], "pretrain.batch"),
            (&["attention.batch=65536"], "attention.batch"),
            (
                &["finetune.batch=65536", "finetune.crop=512"],
                "finetune.batch",
            ),
            (
                &[
                    "pretrain.swapped.queue_length=1000000",
                    "network.prototypes=100000",
                ],
                "queue_length",
            ),
            (
                &["network.prototypes=100000", "network.feature_dim=65536"],
                "network.prototypes",
            ),
            (
                &["predict.batch=1000", "predict.resize=4096"],
                "predict.batch",
            ),
        ] {
            let said = refused(settings, 32.0).unwrap_or_else(|| panic!("{settings:?}"));
            assert!(
                said.contains(key) && said.contains("GiB of memory"),
                "{said}"
            );
        }
    }

    #[test]
    fn the_published_recipe_fits_a_gpu_and_parts_of_a_batch_less() {
        assert_eq!(refused(&[], 80.0), None);
        assert!(refused(&[], 4.0).is_some());
        assert_eq!(
            refused(
                &[
                    "pretrain.accumulate=16",
                    "attention.accumulate=16",
                    "finetune.accumulate=16"
                ],
                4.0
            ),
            None
        );
    }
}

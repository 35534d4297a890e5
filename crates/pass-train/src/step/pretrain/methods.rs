//! The methods that a run file can name: each a row, and what trains it.

use burn::tensor::Device;
use pass_model::{
    loss::{LossWeights, PretrainLossConfig},
    method::{
        self,
        adco::AdCo,
        barlow_twins::BarlowTwins,
        byol::Byol,
        densecl::DenseCl,
        dino::Dino,
        emp_ssl::EmpSsl,
        moco_v2::MoCoV2,
        moco_v3::MoCoV3,
        pass::{Pass, PassConfig},
        pcl::Pcl,
        pixpro::PixPro,
        simclr::SimClr,
        simsiam::SimSiam,
        supervised::Supervised,
        vicreg::VicReg,
    },
    pass_p_net::PassPNet,
    queue::SwavQueue,
};
use serde::{Deserialize, Serialize};

use super::{classes, net_config, pretrain_with, swav_queue};
use crate::{Context, Error, RunFile, run_file::check_keys};

/// Each method by its variant, its type, and what makes it from a run and a device with gradients.
macro_rules! methods {
    ($($(#[$about:meta])+ $name:ident: $method:ty = $make:expr;)+) => {
        /// The method of step 1.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Method {
            $($(#[$about])+ $name,)+
        }

        impl Method {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// How many crops of a picture it looks at; none for all.
            pub(crate) fn crops(self) -> Option<usize> {
                match self {
                    $(Self::$name => <$method as method::Method>::CROPS,)+
                }
            }

            /// Trains the method on a device with gradients.
            pub(super) fn train(self, context: &Context, device: &Device) -> Result<(), Error> {
                check_keys(&context.file.pretrain, context.ranks.size())
                    .map_err(|fault| fault.at("run.toml"))?;
                match self {
                    $(Self::$name => {
                        let make: fn(&Context, &Device) -> Result<$method, Error> = $make;
                        pretrain_with(context, make(context, device)?)
                    })+
                }
            }
        }
    };
}

/// What makes a method whose constructor takes its section, backbone, seed and device.
macro_rules! of_section {
    ($method:ty, $section:ident) => {
        |context, device| {
            let RunFile {
                seed,
                network,
                pretrain,
                ..
            } = &context.file;
            let config = pretrain.$section.clone();
            Ok(<$method>::new(config, &network.backbone, *seed, device))
        }
    };
}

/// The same, where the constructor also takes the pictures of a batch, of all ranks together.
macro_rules! of_section_and_batch {
    ($method:ty, $section:ident) => {
        |context, device| {
            let RunFile {
                seed,
                network,
                pretrain,
                ..
            } = &context.file;
            let config = pretrain.$section.clone();
            let backbone = &network.backbone;
            Ok(<$method>::new(
                config,
                backbone,
                pretrain.batch,
                *seed,
                device,
            ))
        }
    };
}

methods! {
    /// On SwAV: swapped prediction, P2P, D2S.
    #[default]
    PassS: Pass = |context, device| Ok(pass_s(&context.file, device));
    /// On PixPro: its consistency of pixels with a momentum encoder, and all of `pass_s`.
    PassP: Pass<PassPNet> = |context, device| Ok(pass_p(&context.file, device));
    /// The class folders of the pictures are learned.
    Supervised: Supervised = supervised;
    /// Contrast within a batch.
    Simclr: SimClr = of_section_and_batch!(SimClr, simclr);
    /// Contrast with a ring of former keys.
    MocoV2: MoCoV2 = of_section!(MoCoV2, moco_v2);
    /// Contrast with a bank that learns against the network.
    Adco: AdCo = of_section_and_batch!(AdCo, adco);
    /// A prediction follows a momentum encoder.
    Byol: Byol = of_section!(Byol, byol);
    /// A prediction follows the network itself.
    Simsiam: SimSiam = of_section!(SimSiam, simsiam);
    /// Contrast with a ring, and with clusters of the training pictures.
    Pcl: Pcl = of_section!(Pcl, pcl);
    /// Contrast with rings, of pictures and of matched places.
    Densecl: DenseCl = of_section!(DenseCl, densecl);
    /// Swapped prediction.
    Swav: Pass = |context, device| Ok(swav(&context.file, device));
    /// Consistency of pixels with a momentum encoder.
    Pixpro: PixPro = of_section!(PixPro, pixpro);
    /// The cross-correlation of two views becomes the identity.
    BarlowTwins: BarlowTwins = of_section!(BarlowTwins, barlow_twins);
    /// Views agree, and dimensions vary and do not correlate.
    Vicreg: VicReg = of_section!(VicReg, vicreg);
    /// Contrast within a batch, with a momentum encoder.
    MocoV3: MoCoV3 = of_section_and_batch!(MoCoV3, moco_v3);
    /// A student follows the distribution of a teacher, its momentum encoder.
    Dino: Dino = of_section!(Dino, dino);
    /// Many patches of a picture agree, and all together fill the space.
    EmpSsl: EmpSsl = of_section!(EmpSsl, emp_ssl);
}

impl Method {
    /// Its name in a run file.
    pub fn name(self) -> String {
        let name = toml::Value::try_from(self).expect("a word");
        name.as_str().expect("a word").to_owned()
    }

    /// Whether it has the swapped prediction of SwAV, with its queue and prototypes.
    pub(crate) fn predicts_assignments(self) -> bool {
        matches!(self, Self::PassS | Self::PassP | Self::Swav)
    }
}

/// PASS_s with the initial weights of the run's seed.
pub(crate) fn pass_s(file: &RunFile, device: &Device) -> Pass {
    Pass::pass_s(
        pass_config(file),
        pass_queue(file, device),
        file.seed,
        device,
    )
}

/// PASS_p, which contains PASS_s.
pub(crate) fn pass_p(file: &RunFile, device: &Device) -> Pass<PassPNet> {
    Pass::pass_p(
        pass_config(file),
        pass_queue(file, device),
        file.seed,
        device,
    )
}

fn swav(file: &RunFile, device: &Device) -> Pass {
    let section = &file.pretrain;
    section.swav.init(
        file.network.clone(),
        section.swapped.clone(),
        section.freeze_prototypes_iterations,
        pass_queue(file, device),
        file.seed,
        device,
    )
}

fn supervised(context: &Context, device: &Device) -> Result<Supervised, Error> {
    let file = &context.file;
    let config = file.pretrain.supervised.clone();
    let classes = classes(context)?;
    Ok(Supervised::new(
        config,
        &file.network.backbone,
        classes,
        file.seed,
        device,
    ))
}

fn pass_config(file: &RunFile) -> PassConfig {
    let section = &file.pretrain;
    let stages = section.shallow.iter().copied();
    PassConfig {
        net: net_config(file),
        loss: PretrainLossConfig {
            swapped: section.swapped.clone(),
            supervision: section.supervision,
            p2p: section.p2p.then_some(section.alignment.kind),
            weights: LossWeights {
                image: section.swapped_weight,
                d2s: stages
                    .zip(section.shallow_weights.iter().copied())
                    .collect(),
                p2p: section.p2p_weight,
            },
        },
        alignment: section.alignment.clone(),
        consistency: section.consistency.clone(),
        freeze_prototypes_iterations: section.freeze_prototypes_iterations,
    }
}

fn pass_queue(file: &RunFile, device: &Device) -> SwavQueue {
    let section = &file.pretrain;
    let part = section.batch / section.accumulate;
    swav_queue(
        &section.swapped,
        section
            .batch_rule
            .queue_length(section.swapped.queue_length, section.batch),
        [part, file.network.feature_dim],
        device,
    )
}

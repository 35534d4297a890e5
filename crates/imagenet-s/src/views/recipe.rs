//! The published augmentations of methods of pre-training.
//!
//! | recipe | source |
//! |---|---|
//! | SimCLR | Chen et al. 2020, <https://arxiv.org/abs/2002.05709>, appendix A |
//! | MoCo v2; also AdCo, PCL v2, DenseCL, SimSiam | Chen et al. 2020, <https://arxiv.org/abs/2003.04297> |
//! | BYOL; also Barlow Twins, VICReg | Grill et al. 2020, <https://arxiv.org/abs/2006.07733>, appendix B |
//! | MoCo v3, with a ResNet | Chen et al. 2021, <https://arxiv.org/abs/2104.02057> |
//! | SwAV, with two crops as in the LUSS paper | Caron et al. 2020, <https://arxiv.org/abs/2006.09882> |
//! | PixPro | Xie et al. 2021, <https://arxiv.org/abs/2011.10043> |
//! | DINO, with a ResNet | Caron et al. 2021, <https://arxiv.org/abs/2104.14294> |
//! | EMP-SSL | Tong et al. 2023, <https://arxiv.org/abs/2304.03977> |
//! | supervised | torchvision's references for classification |
//!
//! The operations come in the one order of [`multi_crop`](super::multi_crop()): where a program mirrors
//! last, the views are the same up to the rounding of a blur.

use super::{
    color::ColorJitterConfig,
    multi_crop::{CropFilter, CropGroup, MultiCropConfig},
};

/// Patches of a picture in [`Recipe::EmpSsl`].
const PATCHES: usize = 20;

/// An augmentation by the method that published it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// One crop in natural colours.
    Supervised,
    /// Two crops with strong jitter.
    SimClr,
    /// Two crops with mild jitter.
    MoCoV2,
    /// Two crops, of which the first is blurred and the second may be solarised.
    Byol,
    /// [`Recipe::Byol`] with crops of at least a fifth of the picture.
    MoCoV3,
    /// Two crops with strong jitter, as PASS.
    Swav,
    /// [`Recipe::Byol`] through the bilinear filter.
    PixPro,
    /// [`Recipe::Byol`] with crops of at least 14 % of the picture.
    Dino,
    /// [`Recipe::Dino`] and eight local crops.
    DinoMultiCrop,
    /// Twenty square patches, a quarter of the picture each.
    EmpSsl,
}

impl Recipe {
    /// The views, of `size` pixels along each side; local ones have 3/7 of it, 96 of 224.
    pub fn views(self, size: usize) -> MultiCropConfig {
        let [least, most] = self.scales();
        let group = |count| CropGroup::new(count, size, [least, most]);
        let config = MultiCropConfig {
            jitter: self.jitter(),
            filter: self.filter(),
            ..Default::default()
        };
        match self {
            Self::Supervised => MultiCropConfig {
                groups: vec![group(1)],
                grayscale_probability: 0.0,
                blur_probability: 0.0,
                ..config
            },
            Self::EmpSsl => MultiCropConfig {
                groups: vec![patches(group(PATCHES))],
                blur_probability: 0.1,
                ..config
            },
            Self::SimClr | Self::MoCoV2 | Self::Swav => MultiCropConfig {
                groups: vec![group(2)],
                ..config
            },
            Self::Byol | Self::MoCoV3 | Self::PixPro | Self::Dino => MultiCropConfig {
                groups: unlike_pair(group(1)).into(),
                ..config
            },
            Self::DinoMultiCrop => {
                let local = CropGroup::new(8, (size * 3).div_ceil(7), [0.05, least]);
                let mut groups = unlike_pair(group(1)).to_vec();
                groups.push(local);
                MultiCropConfig { groups, ..config }
            }
        }
    }

    /// Least and greatest area.
    fn scales(self) -> [f64; 2] {
        match self {
            Self::Supervised | Self::SimClr | Self::Byol | Self::Swav | Self::PixPro => [0.08, 1.0],
            Self::MoCoV2 | Self::MoCoV3 => [0.2, 1.0],
            Self::Dino | Self::DinoMultiCrop => [0.14, 1.0],
            Self::EmpSsl => [0.25, 0.25],
        }
    }

    fn filter(self) -> CropFilter {
        match self {
            Self::Byol | Self::Dino | Self::DinoMultiCrop => CropFilter::Bicubic,
            _ => CropFilter::Bilinear,
        }
    }

    fn jitter(self) -> ColorJitterConfig {
        match self {
            Self::Supervised => jitter(0.0, [0.0; 4]),
            Self::SimClr | Self::Swav => jitter(0.8, [0.8, 0.8, 0.8, 0.2]),
            Self::MoCoV2 => jitter(0.8, [0.4, 0.4, 0.4, 0.1]),
            Self::EmpSsl => jitter(0.8, [0.4, 0.4, 0.4, 0.2]),
            _ => jitter(0.8, [0.4, 0.4, 0.2, 0.1]),
        }
    }
}

fn jitter(
    probability: f64,
    [brightness, contrast, saturation, hue]: [f64; 4],
) -> ColorJitterConfig {
    ColorJitterConfig {
        probability,
        brightness,
        contrast,
        saturation,
        hue,
    }
}

/// The first view is always blurred, the second seldom; a fifth of the second is solarised.
fn unlike_pair(like: CropGroup) -> [CropGroup; 2] {
    let with = |blur, solarize| CropGroup {
        blur_probability: Some(blur),
        solarize_probability: solarize,
        ..like.clone()
    };
    [with(1.0, 0.0), with(0.1, 0.2)]
}

/// Squares, a tenth of them solarised.
fn patches(like: CropGroup) -> CropGroup {
    CropGroup {
        max_aspect: 1.0,
        solarize_probability: 0.1,
        ..like
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Recipe; 10] = [
        Recipe::Supervised,
        Recipe::SimClr,
        Recipe::MoCoV2,
        Recipe::Byol,
        Recipe::MoCoV3,
        Recipe::Swav,
        Recipe::PixPro,
        Recipe::Dino,
        Recipe::DinoMultiCrop,
        Recipe::EmpSsl,
    ];

    #[test]
    fn every_recipe_is_valid_and_survives_a_run_file() {
        for recipe in ALL {
            let views = recipe.views(64);
            views.validate().unwrap();
            let text = toml::to_string(&views).unwrap();
            assert_eq!(toml::from_str::<MultiCropConfig>(&text).unwrap(), views);
        }
    }

    #[test]
    fn recipes_have_the_published_views() {
        let counts = ALL.map(|recipe| recipe.views(224).crops());
        assert_eq!(counts, [1, 2, 2, 2, 2, 2, 2, 2, 10, 20]);
        let views = Recipe::DinoMultiCrop.views(224);
        assert_eq!(views.resolutions(), [[224, 2], [96, 8]]);
        let byol = Recipe::Byol.views(224);
        let colours = byol.groups.iter();
        let colours = colours.map(|it| (it.blur_probability, it.solarize_probability));
        let colours: Vec<_> = colours.collect();
        assert_eq!(colours, [(Some(1.0), 0.0), (Some(0.1), 0.2)]);
        // SwAV's recipe is the default of PASS but for the least area of a crop.
        let mut pass = MultiCropConfig::default();
        pass.groups[0].min_scale = 0.08;
        assert_eq!(Recipe::Swav.views(224), pass);
    }
}

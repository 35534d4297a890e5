//! Multi-crop: several augmented views of one picture, large ones and small ones.
//!
//! SwAV (Caron et al. 2020, <https://arxiv.org/abs/2006.09882>, §3.2). Each view passes, in this
//! order: random resized crop · mirroring · colour jitter · grayscale · Gaussian blur, and where PixPro
//! asks for it (Xie et al. 2021, <https://arxiv.org/abs/2011.10043>) solarisation.

use super::{
    blur::gaussian_blur,
    color::{ColorJitterConfig, grayscale, jitter, solarize},
    crop::{CropFrame, CropShapes, MAX_ASPECT, resized_crop},
    stream::{Purpose, Stream},
    taps::Filter,
};
use image::RgbImage;
use serde::{Deserialize, Serialize};

/// Rectangles that are longer hardly fit any picture.
const MOST_ASPECT: f64 = 100.0;

/// Views that are drawn alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropGroup {
    /// Number of views.
    pub count: usize,
    /// Width and height of each view in pixels.
    pub size: usize,
    /// Least area of a view's rectangle, as a share of the picture's, in `0..=1`.
    pub min_scale: f64,
    /// Greatest area of a view's rectangle, as a share of the picture's, in `0..=1`.
    pub max_scale: f64,
    /// Greatest ratio of the longer side of a view's rectangle to the shorter, at least 1.
    #[serde(default = "usual_aspect", skip_serializing_if = "is_usual_aspect")]
    pub max_aspect: f64,
    /// Colour jitter, where it is not that of all views.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<ColorJitterConfig>,
    /// Probability of losing all colour, where it is not that of all views.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grayscale_probability: Option<f64>,
    /// Probability of a blur, where it is not that of all views.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blur_probability: Option<f64>,
    /// Probability that bright samples, 128 and above, are inverted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub solarize_probability: f64,
}

/// Run files leave it out.
fn is_zero(probability: &f64) -> bool {
    *probability == 0.0
}

fn usual_aspect() -> f64 {
    MAX_ASPECT
}

/// Run files leave it out.
fn is_usual_aspect(aspect: &f64) -> bool {
    *aspect == MAX_ASPECT
}

/// Filter that brings a view to its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CropFilter {
    /// Pillow's `BILINEAR`.
    #[default]
    Bilinear,
    /// Pillow's `BICUBIC`.
    Bicubic,
}

impl CropFilter {
    /// Run files leave it out.
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    fn filter(self) -> Filter {
        match self {
            Self::Bilinear => Filter::BILINEAR,
            Self::Bicubic => Filter::BICUBIC,
        }
    }
}

impl CropGroup {
    /// Views with the colours of all views, without solarisation.
    pub fn new(count: usize, size: usize, [min_scale, max_scale]: [f64; 2]) -> Self {
        Self {
            count,
            size,
            min_scale,
            max_scale,
            max_aspect: MAX_ASPECT,
            jitter: None,
            grayscale_probability: None,
            blur_probability: None,
            solarize_probability: 0.0,
        }
    }
}

/// Settings of [`multi_crop`]; the defaults are those of the reference's option parser.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MultiCropConfig {
    /// The views. The first two are the pair of P2P and of the swapped prediction.
    pub groups: Vec<CropGroup>,
    /// Probability of mirroring.
    pub flip_probability: f64,
    /// Colour jitter.
    pub jitter: ColorJitterConfig,
    /// Probability of losing all colour.
    pub grayscale_probability: f64,
    /// Probability of a blur.
    pub blur_probability: f64,
    /// Least deviation of the blur, in pixels of the view.
    pub min_blur_px: f64,
    /// Greatest deviation of the blur, in pixels of the view.
    pub max_blur_px: f64,
    /// Filter that brings the views to their sizes.
    #[serde(skip_serializing_if = "CropFilter::is_usual")]
    pub filter: CropFilter,
}

impl Default for MultiCropConfig {
    fn default() -> Self {
        Self {
            groups: vec![CropGroup::new(2, 224, [0.14, 1.0])],
            flip_probability: 0.5,
            jitter: ColorJitterConfig::default(),
            grayscale_probability: 0.2,
            blur_probability: 0.5,
            min_blur_px: 0.1,
            max_blur_px: 2.0,
            filter: CropFilter::default(),
        }
    }
}

/// Why a [`MultiCropConfig`] cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidMultiCrop {
    /// There are no views.
    #[error("no crops are asked for: give `groups` at least one entry with `count` above 0")]
    NoCrops,
    /// A view has no pixels.
    #[error("crop group {group} has size 0: give a side length in pixels")]
    NoPixels {
        /// Index of the group.
        group: usize,
    },
    /// A number is outside its range.
    #[error("`{name}` is {value}: give a number in {low}..={high}")]
    OutOfRange {
        /// Field of the settings.
        name: &'static str,
        /// The number given.
        value: f64,
        /// Least number allowed.
        low: f64,
        /// Greatest number allowed.
        high: f64,
    },
}

impl MultiCropConfig {
    /// Number of views of each picture.
    pub fn crops(&self) -> usize {
        self.groups.iter().map(|group| group.count).sum()
    }

    /// The same settings for the first views alone, at most `crops` of them.
    pub fn first(&self, crops: usize) -> Self {
        let mut left = crops;
        let taken = self.groups.iter().map(|group| {
            let count = group.count.min(left);
            left -= count;
            CropGroup {
                count,
                ..group.clone()
            }
        });
        let groups = taken.filter(|group| group.count > 0).collect();
        Self {
            groups,
            ..self.clone()
        }
    }

    /// Size and number of the views that follow each other in one size: what a network sees at once,
    /// as in the reference.
    pub fn resolutions(&self) -> Vec<[usize; 2]> {
        let same = self.groups.chunk_by(|a, b| a.size == b.size);
        same.map(|groups| [groups[0].size, groups.iter().map(|group| group.count).sum()])
            .collect()
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    ///
    /// The first number that is out of range, with the range.
    pub fn validate(&self) -> Result<(), InvalidMultiCrop> {
        if self.crops() == 0 {
            return Err(InvalidMultiCrop::NoCrops);
        }
        for (index, group) in self.groups.iter().enumerate() {
            if group.size == 0 {
                return Err(InvalidMultiCrop::NoPixels { group: index });
            }
            group.validate()?;
        }
        in_range("flip_probability", self.flip_probability, 0.0, 1.0)?;
        in_range(
            "grayscale_probability",
            self.grayscale_probability,
            0.0,
            1.0,
        )?;
        in_range("blur_probability", self.blur_probability, 0.0, 1.0)?;
        in_range("min_blur_px", self.min_blur_px, 0.0, self.max_blur_px)?;
        in_range("max_blur_px", self.max_blur_px, 0.0, f64::from(u16::MAX))?;
        validate_jitter(&self.jitter)
    }
}

impl CropGroup {
    fn validate(&self) -> Result<(), InvalidMultiCrop> {
        in_range("groups.min_scale", self.min_scale, 0.0, self.max_scale)?;
        in_range("groups.max_scale", self.max_scale, 0.0, 1.0)?;
        in_range("groups.max_aspect", self.max_aspect, 1.0, MOST_ASPECT)?;
        for (name, probability) in [
            ("groups.grayscale_probability", self.grayscale_probability),
            ("groups.blur_probability", self.blur_probability),
            (
                "groups.solarize_probability",
                Some(self.solarize_probability),
            ),
        ] {
            in_range(name, probability.unwrap_or(0.0), 0.0, 1.0)?;
        }
        self.jitter.as_ref().map_or(Ok(()), validate_jitter)
    }
}

/// One augmented view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Width and height in pixels.
    pub size: usize,
    /// Samples `[size * size * 3]`: rows, columns, then channels.
    pub rgb: Vec<u8>,
    /// Where the view lies in the picture.
    pub frame: CropFrame,
}

/// The augmented views of one picture: all views of group 0 first.
///
/// A view depends on (`seed`, `epoch`, `index` of the picture, index of the view) alone.
///
/// # Panics
///
/// If the picture has no pixels or [`MultiCropConfig::validate`] refuses the settings.
pub fn multi_crop(
    picture: &RgbImage,
    config: &MultiCropConfig,
    seed: u64,
    epoch: u64,
    index: u64,
) -> Vec<Crop> {
    if let Err(error) = config.validate() {
        panic!("{error}");
    }
    let groups = config.groups.iter();
    let views = groups
        .flat_map(|group| std::iter::repeat_n(group, group.count))
        .enumerate();
    views
        .map(|(view, group)| {
            let mut stream = Stream::new(seed, epoch, index, Purpose::Crop(view));
            random_view(picture, group, config, &mut stream)
        })
        .collect()
}

/// Colour jitter, grayscale, blur and solarisation, each with its probability; the geometry stays.
pub fn recolor(
    picture: &mut RgbImage,
    group: &CropGroup,
    config: &MultiCropConfig,
    stream: &mut Stream,
) {
    jitter(
        picture,
        group.jitter.as_ref().unwrap_or(&config.jitter),
        stream,
    );
    let gray = group.grayscale_probability;
    if stream.chance(gray.unwrap_or(config.grayscale_probability)) {
        grayscale(picture);
    }
    let blur = group.blur_probability.unwrap_or(config.blur_probability);
    if stream.chance(blur) {
        gaussian_blur(
            picture,
            stream.uniform(config.min_blur_px, config.max_blur_px),
        );
    }
    if stream.chance(group.solarize_probability) {
        solarize(picture);
    }
}

/// One view: geometry, then colour.
fn random_view(
    picture: &RgbImage,
    group: &CropGroup,
    config: &MultiCropConfig,
    stream: &mut Stream,
) -> Crop {
    let shapes = CropShapes {
        scales: [group.min_scale, group.max_scale],
        max_aspect: group.max_aspect,
    };
    let sides = [picture.width(), picture.height()];
    let frame = CropFrame::random(sides, shapes, config.flip_probability, stream);
    let filter = config.filter.filter();
    let mut view = resized_crop(picture, &frame, [group.size as u32; 2], filter);
    recolor(&mut view, group, config, stream);
    Crop {
        size: group.size,
        rgb: view.into_raw(),
        frame,
    }
}

fn validate_jitter(jitter: &ColorJitterConfig) -> Result<(), InvalidMultiCrop> {
    in_range("jitter.probability", jitter.probability, 0.0, 1.0)?;
    in_range("jitter.brightness", jitter.brightness, 0.0, f64::MAX)?;
    in_range("jitter.contrast", jitter.contrast, 0.0, f64::MAX)?;
    in_range("jitter.saturation", jitter.saturation, 0.0, f64::MAX)?;
    in_range("jitter.hue", jitter.hue, 0.0, 0.5)
}

fn in_range(name: &'static str, value: f64, low: f64, high: f64) -> Result<(), InvalidMultiCrop> {
    let inside = (low..=high).contains(&value);
    if inside {
        Ok(())
    } else {
        Err(InvalidMultiCrop::OutOfRange {
            name,
            value,
            low,
            high,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_pictures::pattern;
    use super::*;

    fn config() -> MultiCropConfig {
        MultiCropConfig {
            groups: vec![
                CropGroup::new(2, 11, [0.3, 1.0]),
                CropGroup::new(3, 5, [0.05, 0.3]),
            ],
            ..Default::default()
        }
    }

    fn crops(seed: u64, epoch: u64, index: u64) -> Vec<Crop> {
        multi_crop(&pattern(31, 23), &config(), seed, epoch, index)
    }

    #[test]
    fn the_first_group_comes_first_and_every_crop_has_its_size() {
        let crops = crops(1, 0, 0);
        assert_eq!(
            crops.iter().map(|crop| crop.size).collect::<Vec<_>>(),
            [11, 11, 5, 5, 5]
        );
        assert!(
            crops
                .iter()
                .all(|crop| crop.rgb.len() == crop.size * crop.size * 3)
        );
        assert_eq!(config().crops(), 5);
    }

    #[test]
    fn the_same_key_gives_the_same_crops() {
        assert_eq!(crops(1, 2, 3), crops(1, 2, 3));
    }

    #[test]
    fn another_seed_epoch_or_picture_gives_other_crops() {
        let base = crops(1, 2, 3);
        assert!(
            [crops(9, 2, 3), crops(1, 9, 3), crops(1, 2, 9)]
                .iter()
                .all(|c| *c != base)
        );
    }

    #[test]
    fn the_crops_of_one_picture_differ() {
        let crops = crops(1, 2, 3);
        assert_ne!(crops[0].frame, crops[1].frame);
        assert_ne!(crops[2].rgb, crops[3].rgb);
    }

    #[test]
    fn more_crops_leave_the_earlier_ones_alone() {
        let mut more = config();
        more.groups[1].count += 2;
        assert_eq!(
            multi_crop(&pattern(31, 23), &more, 1, 2, 3)[..5],
            crops(1, 2, 3)
        );
    }

    #[test]
    fn crops_lie_inside_the_picture() {
        for crop in (0..100).flat_map(|index| crops(1, 0, index)) {
            let frame = crop.frame;
            assert!(
                frame.left + frame.width <= 31 && frame.top + frame.height <= 23,
                "{frame:?}"
            );
        }
    }

    #[test]
    fn without_colour_changes_a_crop_is_the_resized_frame() {
        let jitter = ColorJitterConfig {
            probability: 0.0,
            ..Default::default()
        };
        let plain = MultiCropConfig {
            jitter,
            grayscale_probability: 0.0,
            blur_probability: 0.0,
            ..config()
        };
        for crop in multi_crop(&pattern(31, 23), &plain, 1, 2, 3) {
            let side = crop.size as u32;
            assert_eq!(
                crop.rgb,
                resized_crop(&pattern(31, 23), &crop.frame, [side; 2], Filter::BILINEAR).into_raw()
            );
        }
    }

    #[test]
    fn certain_grayscale_leaves_no_colour() {
        let gray = MultiCropConfig {
            grayscale_probability: 1.0,
            ..config()
        };
        for crop in multi_crop(&pattern(31, 23), &gray, 1, 2, 3) {
            assert!(crop.rgb.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]));
        }
    }

    /// The two views of PixPro: the second of one group becomes a group of its own.
    #[test]
    fn a_group_has_its_own_blur_and_solarisation() {
        let plain = MultiCropConfig {
            blur_probability: 0.0,
            ..config()
        };
        let first = CropGroup {
            blur_probability: Some(1.0),
            ..CropGroup::new(1, 11, [0.3, 1.0])
        };
        let second = CropGroup {
            solarize_probability: 1.0,
            ..CropGroup::new(1, 11, [0.3, 1.0])
        };
        let apart = MultiCropConfig {
            groups: vec![first, second],
            ..plain.clone()
        };
        assert_eq!(apart.resolutions(), [[11, 2]]);
        assert_eq!(plain.resolutions(), [[11, 2], [5, 3]]);
        let [alike, apart] =
            [plain, apart].map(|config| multi_crop(&pattern(31, 23), &config, 1, 2, 3));
        assert_eq!(apart[0].frame, alike[0].frame);
        assert_ne!(apart[0].rgb, alike[0].rgb, "blurred");
        let mut solarized = alike[1].clone();
        solarize(&mut solarized.rgb);
        assert_eq!(apart[1], solarized);
        assert_ne!(apart[1], alike[1]);
    }

    #[test]
    fn a_group_has_its_own_colours_and_the_filter_is_that_of_all() {
        let still = |probability| ColorJitterConfig {
            probability,
            ..Default::default()
        };
        let own = CropGroup {
            jitter: Some(still(0.0)),
            grayscale_probability: Some(0.0),
            blur_probability: Some(0.0),
            ..CropGroup::new(1, 11, [0.3, 1.0])
        };
        let config = MultiCropConfig {
            groups: vec![CropGroup::new(1, 11, [0.3, 1.0]), own],
            jitter: still(1.0),
            grayscale_probability: 1.0,
            filter: CropFilter::Bicubic,
            ..Default::default()
        };
        let picture = pattern(31, 23);
        let [changed, kept] = multi_crop(&picture, &config, 1, 2, 3).try_into().unwrap();
        assert!(changed.rgb.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]));
        let plain = resized_crop(&picture, &kept.frame, [11; 2], Filter::BICUBIC);
        assert_eq!(kept.rgb, plain.into_raw());
    }

    #[test]
    fn settings_survive_a_run_file_and_a_typo_is_refused() {
        let text = toml::to_string(&config()).unwrap();
        assert_eq!(toml::from_str::<MultiCropConfig>(&text).unwrap(), config());
        assert_eq!(
            toml::from_str::<MultiCropConfig>("").unwrap(),
            MultiCropConfig::default()
        );
        assert!(toml::from_str::<MultiCropConfig>("blur_probabilty = 0.5").is_err());
        assert!(toml::from_str::<MultiCropConfig>("[jitter]\nhew = 0.1").is_err());
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_their_range() {
        let mut wrong = config();
        wrong.groups[1].max_scale = 1.5;
        let message = wrong.validate().unwrap_err().to_string();
        assert_eq!(message, "`groups.max_scale` is 1.5: give a number in 0..=1");
        let wrong = MultiCropConfig {
            max_blur_px: f64::NAN,
            ..config()
        };
        assert!(wrong.validate().is_err());
        let wrong = MultiCropConfig {
            groups: vec![],
            ..config()
        };
        assert_eq!(wrong.validate(), Err(InvalidMultiCrop::NoCrops));
    }
}

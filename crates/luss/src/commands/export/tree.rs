//! The formats that are a folder: a file for each picture, or several.

use std::{io::Write as _, path::Path};

use anyhow::Context as _;
use clap::ValueEnum;
use html_report::palette::palette;
use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, codecs::jpeg::JpegEncoder,
};
use imagenet_s::{LabelMask, OddPictures, layout::EXPORTED};
use luss::{OrRefuse, features::prepare_out};
use luss_metrics::folder::encode_indexed_mask;
use mask_formats::{Per, Regions, gray_png, voc, yolo};
use pass_train::report::overlay;
use whole_file::WholeFile;

use super::{
    Export, Format,
    one_file::too_many_objects,
    source::{Item, Source},
};

/// Of JPEG, 1 to 100.
const QUALITY: u8 = 92;

/// How overlays are stored.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum OverlayKind {
    Jpg,
    Png,
}

/// A file for each picture.
struct Part<'a> {
    path: Box<dyn Fn(&Item) -> String + Sync + 'a>,
    content: Content,
}

enum Content {
    Ids(u16),
    Indexed(u16),
    Overlay(OverlayKind, OddPictures),
    Classes,
    Objects(Per),
    Polygons,
    /// The picture as it is.
    Picture,
}

impl Content {
    fn bytes(&self, item: &Item, mask: &LabelMask) -> anyhow::Result<Vec<u8>> {
        Ok(match self {
            Self::Ids(largest) => gray_png(mask, *largest),
            Self::Indexed(categories) => encode_indexed_mask(mask, &palette(*categories)),
            Self::Overlay(kind, odd) => overlaid(item, mask, *kind, *odd)?,
            Self::Classes => voc::class_png(mask),
            Self::Objects(per) => voc::object_png(mask, &Regions::of(mask, *per))
                .with_context(|| too_many_objects(item, *per))?,
            Self::Polygons => yolo::yolo_lines(&Regions::of(mask, Per::Component)).into_bytes(),
            Self::Picture => item.sample.beginning(u64::MAX)?.1,
        })
    }
}

fn overlaid(
    item: &Item,
    mask: &LabelMask,
    kind: OverlayKind,
    odd: OddPictures,
) -> anyhow::Result<Vec<u8>> {
    let drawn = overlay(&item.sample.read_picture(odd)?, mask);
    let mut bytes = Vec::new();
    match kind {
        OverlayKind::Png => {
            let mut file = std::io::Cursor::new(&mut bytes);
            DynamicImage::from(drawn).write_to(&mut file, ImageFormat::Png)?;
        }
        OverlayKind::Jpg => JpegEncoder::new_with_quality(&mut bytes, QUALITY).write_image(
            drawn.as_raw(),
            drawn.width(),
            drawn.height(),
            ExtendedColorType::Rgb8,
        )?,
    }
    Ok(bytes)
}

impl Export {
    pub(super) fn write_tree(&self, source: &Source) -> anyhow::Result<()> {
        let (parts, texts) = (self.parts(source), self.texts(source));
        let of_item = |item| parts.iter().map(move |part| (part.path)(item));
        let files: Vec<String> = texts.iter().map(|(name, _)| name.clone()).collect();
        let files: Vec<String> = source.items.iter().flat_map(of_item).chain(files).collect();
        let inputs: Vec<&Path> = self.place.folders_in(&self.out).collect();
        prepare_out(&self.out, &files, &inputs).or_refuse()?;
        for (name, text) in &texts {
            write(&self.out.join(name), text.as_bytes())?;
        }
        let drawn = |item: &Item| {
            let mask = item.read_mask()?;
            for part in &parts {
                write(
                    &self.out.join((part.path)(item)),
                    &part.content.bytes(item, &mask)?,
                )?;
            }
            Ok(())
        };
        self.in_order(&source.items, drawn, |_, ()| Ok(()))
    }

    /// The files of each picture.
    fn parts<'a>(&'a self, source: &'a Source) -> Vec<Part<'a>> {
        let split = source.split;
        let below = |folder: &'static str, extension: &'static str, content| Part {
            path: Box::new(move |item: &Item| format!("{folder}{}.{extension}", item.key())),
            content,
        };
        let pictures = |folder: String| Part {
            path: Box::new(move |item: &Item| format!("{folder}/{}", item.key_and_extension())),
            content: Content::Picture,
        };
        let mut parts = match self.format {
            Format::Id => vec![below("", "png", Content::Ids(source.largest_id()))],
            Format::Overlay => {
                let extension = match self.overlay {
                    OverlayKind::Jpg => "jpg",
                    OverlayKind::Png => "png",
                };
                vec![below(
                    "",
                    extension,
                    Content::Overlay(self.overlay, source.odd),
                )]
            }
            Format::Voc => vec![
                pictures("JPEGImages".into()),
                below("SegmentationClass/", "png", Content::Classes),
                below("SegmentationObject/", "png", Content::Objects(self.per())),
            ],
            Format::Yolo => vec![
                pictures(format!("images/{split}")),
                Part {
                    path: Box::new(move |item: &Item| format!("labels/{split}/{}.txt", item.key())),
                    content: Content::Polygons,
                },
            ],
            _ => vec![below(
                "",
                "png",
                Content::Indexed(source.names.len() as u16),
            )],
        };
        parts.retain(|part| !(self.without_pictures && matches!(part.content, Content::Picture)));
        parts
    }

    /// The files of the whole.
    fn texts(&self, source: &Source) -> Vec<(String, String)> {
        let mark = (
            EXPORTED.into(),
            "What `luss export` wrote: no pictures.\n".into(),
        );
        let list: String = source
            .items
            .iter()
            .map(|item| format!("{}\n", item.key()))
            .collect();
        let label_map = match source.has_ignored {
            true => voc::label_map_with_void,
            false => voc::label_map,
        };
        let mut texts = vec![mark];
        match self.format {
            Format::Voc => texts.extend([
                ("labelmap.txt".into(), label_map(&source.names)),
                (format!("ImageSets/Segmentation/{}.txt", source.split), list),
            ]),
            Format::Yolo => {
                texts.push((
                    "data.yaml".into(),
                    yolo::data_yaml(source.split, &source.names),
                ));
            }
            _ => {}
        }
        texts
    }
}

/// Without waiting for the disk: an export is made again as easily.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || {
        let mut file = WholeFile::create(path)?;
        file.write_all(bytes)?;
        file.commit_unsynced()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

//! One picture for people to look at: what each category looks like.

use std::cmp::Reverse;

use anyhow::{Context as _, ensure};
use image::{ExtendedColorType, ImageEncoder as _, RgbImage, codecs::jpeg::JpegEncoder, imageops};
use imagenet_s::terminal::tell;
use luss::OrRefuse;
use pass_train::report::overlay;

use super::{
    Export,
    source::{Item, Source},
};

/// Side of a tile, in pixels.
const TILE: u32 = 112;
/// Room between tiles.
const GAP: u32 = 4;
/// Pictures of a category, each beside its mask.
const PICTURES: usize = 4;
/// Most categories on one sheet: the first that occur.
const MOST_CATEGORIES: usize = 40;
/// Of JPEG, 1 to 100.
const QUALITY: u8 = 88;

impl Export {
    /// A row of pictures for each category that occurs, up to [`MOST_CATEGORIES`]: those of which it covers most.
    pub(super) fn write_sheet(&self, source: &Source) -> anyhow::Result<()> {
        let shown = self.out.display();
        self.check_free().or_refuse()?;
        let rows = self.rows(source)?;
        check_any(&rows).or_refuse()?;
        let side = |tiles: usize| tiles as u32 * (TILE + GAP) + GAP;
        let mut sheet = RgbImage::new(side(2 * PICTURES), side(rows.len()));
        sheet.pixels_mut().for_each(|pixel| pixel.0 = [255; 3]);
        for (row, items) in rows.iter().enumerate() {
            for (place, item) in items.iter().enumerate() {
                for (tile, column) in pair(item, source)?.iter().zip(2 * place..) {
                    put(&mut sheet, tile, [column, row]);
                }
            }
        }
        let mut bytes = Vec::new();
        let (width, height) = sheet.dimensions();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
        encoder.write_image(sheet.as_raw(), width, height, ExtendedColorType::Rgb8)?;
        whole_file::write_bytes(&self.out, &bytes).with_context(|| format!("cannot write {shown}"))
    }

    fn check_free(&self) -> anyhow::Result<()> {
        ensure!(
            !self.out.exists(),
            "{}: is there already; name another file with --out, or remove it",
            self.out.display()
        );
        Ok(())
    }

    fn rows<'a>(&self, source: &'a Source) -> anyhow::Result<Vec<Vec<&'a Item>>> {
        let categories = source.names.len();
        let mut shares: Vec<Vec<(u64, usize)>> = vec![Vec::new(); categories];
        let share = |item: &Item| {
            let mask = item.read_mask()?;
            let mut pixels = vec![0u64; categories];
            for &id in mask.labels() {
                if let Some(count) = usize::from(id)
                    .checked_sub(1)
                    .and_then(|at| pixels.get_mut(at))
                {
                    *count += 1;
                }
            }
            let all = mask.labels().len() as u64;
            Ok(pixels
                .into_iter()
                .map(|count| (count << 32) / all)
                .collect::<Vec<_>>())
        };
        let mut index = 0;
        self.in_order(&source.items, share, |_, of_item| {
            let pairs = shares
                .iter_mut()
                .zip(of_item)
                .filter(|(_, share)| *share > 0);
            pairs.for_each(|(list, share)| list.push((share, index)));
            index += 1;
            Ok(())
        })?;
        shares.retain(|list| !list.is_empty());
        tell_left_out(shares.len());
        let chosen = shares.into_iter().take(MOST_CATEGORIES).map(|mut list| {
            list.sort_by_key(|&(share, index)| (Reverse(share), index));
            let first = list.into_iter().take(PICTURES);
            first.map(|(_, index)| &source.items[index]).collect()
        });
        Ok(chosen.collect())
    }
}

fn check_any(rows: &[Vec<&Item>]) -> anyhow::Result<()> {
    ensure!(!rows.is_empty(), "no pixel of these masks is in a category");
    Ok(())
}

fn tell_left_out(occurring: usize) {
    if occurring > MOST_CATEGORIES {
        tell(format_args!(
            "{occurring} categories occur, and a sheet has room for {MOST_CATEGORIES}: the last {} are left out",
            occurring - MOST_CATEGORIES
        ));
    }
}

/// The picture and its overlay, each within a tile.
fn pair(item: &Item, source: &Source) -> anyhow::Result<[RgbImage; 2]> {
    let picture = item.sample.read_picture(source.odd)?;
    let scale = f64::from(TILE) / f64::from(picture.width().max(picture.height()));
    let side = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    let [width, height] = [picture.width(), picture.height()].map(side);
    let small = imageops::thumbnail(&picture, width, height);
    let drawn = overlay(&small, &item.read_mask()?);
    Ok([small, drawn])
}

/// Puts a tile in the middle of its place.
fn put(sheet: &mut RgbImage, tile: &RgbImage, [column, row]: [usize; 2]) {
    let start = |place: usize, side: u32| {
        i64::from(GAP + place as u32 * (TILE + GAP) + (TILE - side.min(TILE)) / 2)
    };
    let (x, y) = (start(column, tile.width()), start(row, tile.height()));
    imageops::replace(sheet, tile, x, y);
}

//! What a file may make of the memory: no more than its bytes can stand for.

use std::path::Path;

use luss_metrics::folder::MAX_PIXELS;
use tiff::tags::Tag;

use super::{
    File,
    header::{FAX_4, Header, JPEG},
    refused,
};
use crate::{error::Error, pictures::jpeg_structure::Frame};

/// How much longer the content of an LZW stream can be than the stream: a code of 12 bits stands for
/// up to 4096 bytes. Deflate and JPEG do not reach it; fax of group 4 does, whose blank rows take a bit.
const MAX_RATIO: u64 = 2731;

impl Header {
    /// Refuses pictures, or parts of them, that would take more memory than the file can hold.
    pub(super) fn check_size(
        &self,
        size: (u32, u32),
        bytes: &[u8],
        path: &Path,
    ) -> Result<(), Error> {
        let pixel_bits = (u64::from(self.bits) * u64::from(self.samples)).max(1);
        let ratio = match self.compression {
            FAX_4 => MAX_RATIO.max(size.0.into()),
            _ => MAX_RATIO,
        };
        let content_bits = (bytes.len() as u64 * 8).saturating_mul(ratio);
        let most = MAX_PIXELS.min(content_bits / pixel_bits);
        let pixels = u64::from(size.0) * u64::from(size.1);
        if pixels <= most {
            return Ok(());
        }
        Err(Error::PictureTooLarge {
            path: path.to_owned(),
            picture_px: size,
            most,
        })
    }
}

/// Refuses tiles and JPEG files in strips or tiles that would take more memory than the picture, and
/// files without some of them: the library would read their pixels from the beginning of the file.
pub(super) fn check_parts(
    file: &mut File<'_>,
    header: &Header,
    bytes: &[u8],
    path: &Path,
) -> Result<(), Error> {
    let (width, height) = file.chunk_dimensions();
    header.check_size((width, height.min(header.size.1)), bytes, path)?;
    let failed = |error| refused(error, path);
    let is_tiled = file.find_tag(Tag::TileOffsets).map_err(failed)?.is_some();
    let (offsets, lengths) = match is_tiled {
        true => (Tag::TileOffsets, Tag::TileByteCounts),
        false => (Tag::StripOffsets, Tag::StripByteCounts),
    };
    let offsets = file.get_tag_u64_vec(offsets).map_err(failed)?;
    if offsets.contains(&0) {
        return Err(Error::PictureKind {
            path: path.to_owned(),
            kind: "a TIFF file that leaves out strips or tiles (sparse)".to_owned(),
        });
    }
    if header.compression != JPEG {
        return Ok(());
    }
    let lengths = file.get_tag_u64_vec(lengths).map_err(failed)?;
    for (offset, length) in offsets.into_iter().zip(lengths) {
        let file = bytes.get(offset as usize..).unwrap_or_default();
        let part = &file[..file.len().min(length as usize)];
        check_jpeg(part, (width, height), path)?;
    }
    Ok(())
}

fn check_jpeg(bytes: &[u8], most: (u32, u32), path: &Path) -> Result<(), Error> {
    let Some(frame) = Frame::first_of(bytes) else {
        return Ok(()); // the decoder tells what is wrong
    };
    if let Some(kind) = frame.unread_kind() {
        return Err(Error::PictureKind {
            path: path.to_owned(),
            kind: format!("a TIFF file with {kind} in it"),
        });
    }
    let size = frame.size_px;
    if size.0 <= most.0 && size.1 <= most.1 {
        return Ok(());
    }
    Err(Error::PictureTooLarge {
        path: path.to_owned(),
        picture_px: size,
        most: u64::from(most.0) * u64::from(most.1),
    })
}

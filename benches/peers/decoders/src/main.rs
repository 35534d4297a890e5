//! Merely decoding the masks below some folders, by each decoder, one thread: the floor under any
//! evaluation. `cargo run --release -- DIR…` prints milliseconds for each file, best of five rounds;
//! files are in memory beforehand, except in the last row.

use std::{
    fs,
    hint::black_box,
    io::Cursor,
    path::PathBuf,
    time::Instant,
};

use luss_metrics::folder::{MaskReader, Tree};
use zune_png::zune_core::bytestream::ZCursor;

fn main() {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let trees = folders.iter().map(|folder| Tree::of_masks(folder).unwrap());
    let paths: Vec<PathBuf> = trees.flat_map(|tree| tree.iter().map(|(_, path)| path.to_owned()).collect::<Vec<_>>()).collect();
    let files: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    println!("{} files, {} bytes", files.len(), files.iter().map(Vec::len).sum::<usize>());
    let mut reader = MaskReader::default();
    time("png (bytes)", &files, |file| with_png(file));
    time("zune-png (bytes)", &files, |file| with_zune(file));
    time("lodepng (bytes)", &files, |file| with_lodepng(file));
    time("libdeflate alone (filtered bytes)", &files, |file| with_libdeflate(file));
    time("luss-metrics MaskReader (ids)", &files, |file| reader.decode(file).unwrap().0.labels().len());
    time("luss-metrics MaskReader from disk (ids)", &paths, |path| reader.read(path).unwrap().0.labels().len());
}

fn time<T>(name: &str, files: &[T], mut decode: impl FnMut(&T) -> usize) {
    let round = |_| {
        let start = Instant::now();
        files.iter().for_each(|file| {
            black_box(decode(file));
        });
        start.elapsed().as_secs_f64()
    };
    let best = (0..5).map(round).fold(f64::INFINITY, f64::min);
    println!("{name:<42}{:8.3} ms a file{:8.3} s in all", 1e3 * best / files.len() as f64, best);
}

fn with_png(file: &[u8]) -> usize {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut bytes).unwrap();
    bytes.len()
}

fn with_zune(file: &[u8]) -> usize {
    zune_png::PngDecoder::new(ZCursor::new(file)).decode_raw().unwrap().len()
}

fn with_lodepng(file: &[u8]) -> usize {
    lodepng::decode24(file).unwrap().buffer.len()
}

/// No filters undone, no ids: what any decoder on top of libdeflate needs at least.
fn with_libdeflate(file: &[u8]) -> usize {
    let (mut packed, mut at) = (Vec::new(), 8);
    let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    while at < file.len() {
        let length = number(at);
        if &file[at + 4..at + 8] == b"IDAT" {
            packed.extend_from_slice(&file[at + 8..at + 8 + length]);
        }
        at += 12 + length;
    }
    let mut bytes = vec![0; (3 * number(16) + 1) * number(20)];
    libdeflater::Decompressor::new().zlib_decompress(&packed, &mut bytes).unwrap()
}

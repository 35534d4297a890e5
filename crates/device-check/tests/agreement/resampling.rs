//! Bilinear resize and the sampling of overlaps.

use device_check::{OPERATION, assert_agreement};
use pass_model::{overlap::sample_overlap, resize::upsample_bilinear};

use crate::MAPS;

#[test]
fn bilinear_resize_agrees() {
    for size in [[20, 28], [11, 4]] {
        assert_agreement(OPERATION, |lab| {
            let maps = lab.input("maps", MAPS);
            lab.output("resized", upsample_bilinear(maps, size));
        });
    }
}

/// Points beyond the border, and one picture without an overlap.
#[test]
fn overlap_sampling_agrees() {
    assert_agreement(OPERATION, |lab| {
        let maps = lab.input("maps", MAPS);
        let mut grids = lab.numbers().uniform([4, 49, 2], [-1.2, 1.2]);
        grids.as_mut_slice::<f32>().expect("float32")[..49 * 2].fill(-2.0);
        let grids = lab.upload(grids);
        lab.output("sampled", sample_overlap(maps, grids));
    });
}

//! How much memory a picture's counts take, for programs that keep those of many pictures.

use crate::ImageCounts;

impl ImageCounts {
    /// Bytes of memory, to within a few.
    pub fn held_bytes(&self) -> usize {
        // Labels under ignored pixels alone are two bytes each and few; left out.
        size_of::<Self>() + size_of_val(self.cells())
    }
}

//! A long JSON array, written item by item.

use std::io::{self, Write};

use serde::Serialize;

/// An array under way, an item a line.
#[derive(Debug)]
pub(crate) struct JsonArray<W> {
    out: W,
    items: u64,
}

impl<W: Write> JsonArray<W> {
    pub(crate) fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(b"[")?;
        Ok(Self { out, items: 0 })
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> u64 {
        self.items
    }

    pub(crate) fn push(&mut self, item: &impl Serialize) -> io::Result<()> {
        let separator: &[u8] = if self.items == 0 { b"\n" } else { b",\n" };
        self.out.write_all(separator)?;
        self.items += 1;
        Ok(serde_json::to_writer(&mut self.out, item)?)
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(b"\n]")?;
        Ok(self.out)
    }
}

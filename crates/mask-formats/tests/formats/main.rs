//! What is written means the same pixels: read again by decoders of these tests.

mod archive;
mod decoders;
mod golden;
mod masks;
mod records;

//! Bytes of event files: TFRecord frames, and the few fields of `Event` that scalars need.

/// A number under a name, such as `loss/p2p`.
pub(super) struct Scalar {
    pub(super) tag: String,
    pub(super) value: f32,
}

/// The first record of every event file.
pub(super) fn version_record(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    double(&mut event, 1, wall_time);
    bytes(&mut event, 3, b"brain.Event:2"); // file_version
    framed(&event)
}

/// `Event { wall_time, step, summary }`.
pub(super) fn scalars_record(
    wall_time: f64,
    step: u64,
    scalars: impl Iterator<Item = Scalar>,
) -> Vec<u8> {
    let mut summary = Vec::new();
    for scalar in scalars {
        let mut value = Vec::new();
        bytes(&mut value, 1, scalar.tag.as_bytes());
        key(&mut value, 2, WIRE_32_BIT); // simple_value
        value.extend(scalar.value.to_le_bytes());
        bytes(&mut summary, 1, &value);
    }
    let mut event = Vec::new();
    double(&mut event, 1, wall_time);
    key(&mut event, 2, WIRE_VARINT);
    varint(&mut event, step);
    bytes(&mut event, 5, &summary);
    framed(&event)
}

/// A TFRecord: length, its checksum, the data, their checksum; little-endian.
fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_checksum(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_checksum(data).to_le_bytes());
    record
}

/// CRC-32C, turned and shifted so that the checksum of data that hold checksums stays good.
fn masked_checksum(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

const WIRE_VARINT: u64 = 0;
const WIRE_64_BIT: u64 = 1;
const WIRE_BYTES: u64 = 2;
const WIRE_32_BIT: u64 = 5;

fn key(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, field << 3 | wire);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    key(out, field, WIRE_64_BIT);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(out, field, WIRE_BYTES);
    varint(out, value.len() as u64);
    out.extend(value);
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, B.4: 32 bytes of zero, of ones, ascending.
    #[test]
    fn the_checksum_is_crc_32c() {
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c::crc32c(&ascending), 0x46dd_794e);
    }

    /// <https://protobuf.dev/programming-guides/encoding/>: 150 is `96 01`.
    #[test]
    fn numbers_are_encoded_as_protocol_buffers_do() {
        let encoded = |value| {
            let mut out = Vec::new();
            varint(&mut out, value);
            out
        };
        assert_eq!(encoded(150), [0x96, 0x01]);
        assert_eq!(encoded(127), [0x7f]);
        assert_eq!(encoded(u64::MAX).len(), 10);
    }
}

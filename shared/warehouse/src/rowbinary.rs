//! ClickHouse's RowBinary format, written by hand: it is the hot path of the sink, and borrowed strings go straight in.

use outcry_domain::Timestamp;

/// Rows being encoded. Each method writes one value of the ClickHouse type it names.
#[derive(Clone, Debug, Default)]
pub struct RowBuffer {
    bytes: Vec<u8>,
}

impl RowBuffer {
    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the rows and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// `true` when nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A length or count, as LEB128.
    pub fn length(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.bytes.push((value as u8) | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// `String` or `LowCardinality(String)`; any bytes are allowed, NUL included.
    pub fn string(&mut self, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.length(value.len());
        self.bytes.extend_from_slice(value);
    }

    /// `String`: empty for `None`.
    pub fn optional_string(&mut self, value: Option<impl AsRef<[u8]>>) {
        match value {
            Some(value) => self.string(value),
            None => self.bytes.push(0),
        }
    }

    /// `Array(String)`.
    pub fn strings(&mut self, values: &[String]) {
        self.length(values.len());
        for value in values {
            self.string(value);
        }
    }

    /// `UUID`: two 64-bit halves, each little-endian.
    pub fn uuid(&mut self, value: u128) {
        self.bytes.extend_from_slice(&((value >> 64) as u64).to_le_bytes());
        self.bytes.extend_from_slice(&(value as u64).to_le_bytes());
    }

    /// `Bool`.
    pub fn bool(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    /// `UInt8`.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// `UInt16`.
    pub fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// `UInt32`.
    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// `UInt64`.
    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// `Int32`.
    pub fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// `Int64`.
    pub fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// `Float32`; what is not a number is written as 0, because a NaN would poison every average over it.
    pub fn f32(&mut self, value: f32) {
        let value = if value.is_finite() { value } else { 0.0 };
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// `DateTime64(3)`: milliseconds. [`Timestamp`] holds no instant that the type cannot.
    pub fn time(&mut self, value: Timestamp) {
        self.i64(value.as_millis());
    }

    /// `Nullable(T)`, with the writer of `T`.
    pub fn nullable<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_none());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// As many empty strings, empty arrays or `false`: each is one zero byte.
    pub(crate) fn zeros(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, 0);
    }

    /// As many NULLs.
    pub(crate) fn nulls(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, 1);
    }

    /// `String` holding a JSON object; empty when it has no members.
    pub fn json_object(&mut self, object: &serde_json::Map<String, serde_json::Value>) {
        if object.is_empty() {
            self.bytes.push(0);
            return;
        }
        // Serialising a map of JSON values cannot fail: its keys are strings.
        let text = serde_json::to_vec(object).unwrap_or_default();
        self.string(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut RowBuffer)) -> Vec<u8> {
        let mut row = RowBuffer::default();
        write(&mut row);
        row.into_bytes()
    }

    #[test]
    fn values_have_clickhouses_layout() {
        // ClickHouse documentation, "RowBinary": LEB128 lengths, little-endian numbers, a NULL flag before nullable values.
        assert_eq!(written(|row| row.string("a\0b")), [3, b'a', 0, b'b']);
        assert_eq!(written(|row| row.length(300)), [0xac, 0x02]);
        assert_eq!(written(|row| row.nullable(None::<u64>, RowBuffer::u64)), [1]);
        assert_eq!(written(|row| row.nullable(Some(7), RowBuffer::u16)), [0, 7, 0]);
        assert_eq!(written(|row| row.f32(f32::NAN)), [0; 4]);
        assert_eq!(
            written(|row| row.uuid(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff)),
            [0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88]
        );
    }
}

//! The model's file: one block of bytes that can be mapped into memory and used where it lies.
//!
//! Little-endian: the header; the card as JSON; a bias for each label; a record for each feature; the table from the hash of
//! an n-gram to its feature; the weights, one byte each, feature by feature; SHA-256 of all before. Nothing in it is
//! followed or allocated before its size was checked, and a file that was changed, cut or made by another version is
//! refused.

use super::card::Card;
use super::corpus::MAX_FEATURES;
use super::speak::fixed_labels;
use sha2::{Digest, Sha256};
use std::ops::Range;

const MAGIC: &[u8; 8] = b"OUTCRYLM";
/// Raise it when the meaning of any byte changes, the n-grams and their numbers included.
const VERSION: u32 = 1;
const HEADER: usize = 64;
const CHECKSUM: usize = 32;
/// One feature: inverse document frequency, scale of its weights, view.
pub(crate) const RECORD: usize = 12;
/// One slot of the table: high half of the hash, feature.
pub(crate) const SLOT: usize = 8;
/// A slot that holds nothing.
pub(crate) const EMPTY: u32 = u32::MAX;
/// Full slots in a row. Half of the slots are empty, so a real table has a few dozen at most.
const LONGEST_RUN: usize = 1024;
/// Labels of one model.
pub(crate) const MAX_LABELS: usize = 4096;
/// Numbers of a header and biases stay below, so that no sum of scores is infinite.
const LARGEST: f32 = 1e20;
/// Bytes of the card.
const MAX_CARD: usize = 16 << 20;

/// Why a file is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// It is something else.
    #[error("this is not a model: it does not begin with {:?}. Make one with `outcry train`", "OUTCRYLM")]
    NotAModel,
    /// Made by a newer or an older release.
    #[error("the model has version {found} and this release reads version {VERSION}: train it again with this release")]
    OtherVersion {
        /// What stands in the file.
        found: u32,
    },
    /// Not all of it is there, or more than all.
    #[error("the model is damaged: {found} bytes where its header says {expected}. Copy it again, or train it again")]
    WrongSize {
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// A byte is not what it was.
    #[error("the model is damaged: its checksum does not match. Copy it again, or train it again")]
    Damaged,
    /// The checksum is right and the content is not: nobody's accident.
    #[error("the model makes no sense ({0}): it was not made by `outcry train`")]
    Senseless(&'static str),
}

/// What goes into a file.
pub(crate) struct Parts<'a> {
    pub card: &'a Card,
    pub sharpness: f32,
    pub review_below: f32,
    /// What one step of the integer sums is worth as a score.
    pub unit: f32,
    pub shares: [f32; 2],
    pub biases: &'a [f32],
    /// Inverse document frequency, scale in units, view.
    pub records: &'a [(f32, f32, u32)],
    pub hashes: &'a [u64],
    pub weights: &'a [i8],
}

/// Where everything lies.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub labels: usize,
    pub features: usize,
    pub slots: usize,
    pub sharpness: f32,
    pub review_below: f32,
    pub unit: f32,
    pub shares: [f32; 2],
    pub biases: Range<usize>,
    pub records: Range<usize>,
    pub table: Range<usize>,
    pub weights: Range<usize>,
    /// The first bytes of a hash over everything that decides an answer.
    pub identity: u32,
}

/// The bytes of a model.
pub(crate) fn write(parts: &Parts<'_>) -> Vec<u8> {
    // A card is made of text, numbers and maps with text as keys: it has a JSON form.
    let card = serde_json::to_vec(parts.card).unwrap_or_default();
    let slots = (parts.hashes.len() * 2).next_power_of_two().max(2);
    let mut bytes = Vec::with_capacity(HEADER + card.len() + parts.weights.len() + slots * SLOT);
    bytes.extend_from_slice(MAGIC);
    for number in [VERSION, card.len() as u32, parts.biases.len() as u32, parts.hashes.len() as u32, slots as u32] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for number in [parts.sharpness, parts.review_below, parts.unit, parts.shares[0], parts.shares[1]] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.resize(HEADER, 0);
    bytes.extend_from_slice(&card);
    for bias in parts.biases {
        bytes.extend_from_slice(&bias.to_le_bytes());
    }
    for (idf, scale, view) in parts.records {
        bytes.extend_from_slice(&idf.to_le_bytes());
        bytes.extend_from_slice(&scale.to_le_bytes());
        bytes.extend_from_slice(&view.to_le_bytes());
    }
    for (tag, feature) in table(parts.hashes, slots) {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&feature.to_le_bytes());
    }
    bytes.extend(parts.weights.iter().map(|weight| *weight as u8));
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// Open addressing: the low half of the hash says where to look first, the high half is compared.
fn table(hashes: &[u64], slots: usize) -> Vec<(u32, u32)> {
    let mut table = vec![(0, EMPTY); slots];
    for (feature, hash) in hashes.iter().enumerate() {
        let mut at = *hash as usize & (slots - 1);
        while table[at].1 != EMPTY {
            at = (at + 1) & (slots - 1);
        }
        table[at] = ((*hash >> 32) as u32, feature as u32);
    }
    table
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub(crate) fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_bits(u32_at(bytes, at))
}

/// Checks everything that an answer relies on.
pub(crate) fn open(bytes: &[u8]) -> Result<(Layout, Card), ModelError> {
    if !bytes.starts_with(MAGIC) {
        return Err(ModelError::NotAModel);
    }
    let short = || ModelError::WrongSize { found: bytes.len() as u64, expected: (HEADER + CHECKSUM) as u64 };
    let found = u32_at(bytes.get(..12).ok_or_else(short)?, 8);
    if found != VERSION {
        return Err(ModelError::OtherVersion { found });
    }
    let header = bytes.get(..HEADER).ok_or_else(short)?;
    let number = |place: usize| u32_at(header, 12 + 4 * place) as usize;
    let (card, labels, features, slots) = (number(0), number(1), number(2), number(3));
    if card > MAX_CARD || !(2..=MAX_LABELS).contains(&labels) || !(1..=MAX_FEATURES).contains(&features) {
        return Err(ModelError::Senseless("sizes out of range"));
    }
    if !slots.is_power_of_two() || slots <= features || slots > MAX_FEATURES * 4 {
        return Err(ModelError::Senseless("a table of impossible size"));
    }
    // None of these can overflow: all are bounded above.
    let mut at = HEADER + card;
    let mut section = |length: usize| {
        let range = at..at + length;
        at = range.end;
        range
    };
    let biases = section(labels * 4);
    let records = section(features * RECORD);
    let table = section(slots * SLOT);
    let weights = section(features * labels);
    if bytes.len() != at + CHECKSUM {
        return Err(ModelError::WrongSize { found: bytes.len() as u64, expected: (at + CHECKSUM) as u64 });
    }
    if Sha256::digest(&bytes[..at]).as_slice() != &bytes[at..] {
        return Err(ModelError::Damaged);
    }
    let real = |place: usize| f32_at(header, 28 + 4 * place);
    let card: Card = serde_json::from_slice(&bytes[HEADER..HEADER + card])
        .map_err(|_| ModelError::Senseless("its card cannot be read"))?;
    let layout = Layout {
        labels,
        features,
        slots,
        sharpness: real(0),
        review_below: real(1),
        unit: real(2),
        shares: [real(3), real(4)],
        identity: identity(header, &card, &bytes[biases.start..at]),
        biases,
        records,
        table,
        weights,
    };
    check(bytes, &layout, &card)?;
    Ok((layout, card))
}

fn identity(header: &[u8], card: &Card, rest: &[u8]) -> u32 {
    let mut digest = Sha256::new();
    digest.update(&header[16..]);
    digest.update(&card.axis);
    for label in &card.labels {
        digest.update([0]);
        digest.update(label);
    }
    digest.update(rest);
    u32_at(&digest.finalize(), 0).swap_bytes()
}

fn check(bytes: &[u8], layout: &Layout, card: &Card) -> Result<(), ModelError> {
    if card.labels.len() != layout.labels {
        return Err(ModelError::Senseless("its card names another number of labels"));
    }
    if card.labels.iter().any(|label| label.is_empty()) || card.axis.is_empty() {
        return Err(ModelError::Senseless("a label or an axis without a name"));
    }
    if let Some(known) = fixed_labels(&card.axis)
        && !card.labels.iter().all(|label| known.contains(&label.as_str()))
    {
        return Err(ModelError::Senseless("labels that its axis does not have"));
    }
    let numbers = [layout.sharpness, layout.unit, layout.shares[0], layout.shares[1]];
    if !numbers.iter().all(|number| *number > 0.0 && *number < LARGEST) || !(0.0..=1.0).contains(&layout.review_below) {
        return Err(ModelError::Senseless("a number of its header is out of range"));
    }
    if !bytes[layout.biases.clone()].chunks_exact(4).all(|bias| f32_at(bias, 0).abs() < LARGEST) {
        return Err(ModelError::Senseless("a bias that is not a number"));
    }
    let sound = |record: &[u8]| {
        let (idf, scale) = (f32_at(record, 0), f32_at(record, 4));
        (0.0..1e6).contains(&idf) && (0.0..1e6).contains(&scale) && u32_at(record, 8) < 2
    };
    if !bytes[layout.records.clone()].chunks_exact(RECORD).all(sound) {
        return Err(ModelError::Senseless("a feature out of range"));
    }
    // A search ends at the next empty slot: there is one, and it is not far.
    let (mut run, mut longest, mut empty) = (0, 0, 0);
    for slot in bytes[layout.table.clone()].chunks_exact(SLOT) {
        match u32_at(slot, 4) {
            EMPTY => (empty, run) = (empty + 1, 0),
            feature if (feature as usize) < layout.features => run += 1,
            _ => return Err(ModelError::Senseless("its table leads nowhere")),
        }
        longest = longest.max(run);
    }
    if empty == 0 || longest > LONGEST_RUN { Err(ModelError::Senseless("its table is full")) } else { Ok(()) }
}

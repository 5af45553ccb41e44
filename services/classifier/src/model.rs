//! A trained model from its file.

use anyhow::Context as _;
use outcry_classify::model::Model;
use std::{fs::File, path::Path};

/// Maps a model's file into memory and checks it. What is not asked for is not read from disk again, and processes that use
/// one model share its memory.
pub fn open_model(path: &Path) -> anyhow::Result<Model> {
    let doing = || format!("opening the model {}", path.display());
    let file = File::open(path).with_context(doing)?;
    // SAFETY: the bytes are read as bytes and never as anything that a change could make invalid; every place and number
    // taken from them is within bounds that were checked, or is checked where it is used. A file that is cut short while
    // it is mapped ends the process, as it would for any program: a new model is put in place by renaming, which is what
    // `outcry train` does.
    let map = unsafe { memmap2::Mmap::map(&file) }.with_context(doing)?;
    Model::open(map).with_context(doing)
}

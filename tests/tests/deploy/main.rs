//! What is shipped beside the code: docker-compose.yml, the image, deploy/config, the README. Nothing here starts a
//! container; each test compares a file with the code that it talks about.

#![expect(clippy::expect_used, reason = "the helpers of tests panic as tests do")]

mod compose;
mod configs;
mod image;
mod readme;
mod services;

use std::path::{Path, PathBuf};

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests' crate lies below the root").to_owned()
}

/// A file of the repository, as text.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

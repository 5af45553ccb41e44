//! What drives Outcry from outside: the real binaries as children that can be killed, frozen and ended, a pipeline of them
//! on the local stack, items to feed it, and the ledger that is compared with what an analyst sees.
//!
//! It owns no test: those are in `tests/`, the benchmark and the run over real data in `src/bin/`.

pub mod binary;
pub mod generate;
pub mod ledger;
pub mod machine;
pub mod phone;
pub mod pipeline;
pub mod view;
pub mod webhook;

pub use binary::Binary;
pub use generate::Generator;
pub use ledger::{Difference, difference};
pub use machine::Usage;
pub use pipeline::Pipeline;
pub use view::View;

//! Probes: heads that are trained on the features of a network, which stays as it is.
//!
//! ```text
//! clips with classes (list) -> features, kept in files (source, cache, kept)
//!     -> heads without some of the clips, judged on those (folds, train), which is kept too (scores)
//!     -> the head of all clips (head)
//! ```
//!
//! Heads are linear or attentive (readout, linear, attentive); both are fitted by the same library (fit).

mod attentive;
mod cache;
mod fit;
mod folds;
mod head;
mod kept;
mod linear;
mod list;
mod readout;
mod scores;
mod source;
mod train;

pub use attentive::Attentive;
pub use cache::kept_features;
pub use folds::{FEWEST_FOLDS, Folds, MOST_FOLDS, interval};
pub use head::Head;
pub use kept::{Kept, KeptClip};
pub use linear::Linear;
pub use list::ClipList;
pub use readout::{HeadKind, Readout};
pub use source::FeatureOptions;
pub use train::{Example, Trained, fits, train};

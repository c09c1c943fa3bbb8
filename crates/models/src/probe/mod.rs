//! Probes: heads that are trained on the features of a network, which stays as it is.
//!
//! ```text
//! clips with classes (list) -> features, kept in files (source, cache) -> heads without some of the clips, judged on those (folds, train, linear)
//!                                                                      -> the head of all clips (head)
//! ```

mod cache;
mod folds;
mod head;
mod linear;
mod list;
mod source;
mod train;

pub use cache::kept_features;
pub use folds::{FEWEST_FOLDS, Folds, MOST_FOLDS, interval};
pub use head::{Head, classify_by};
pub use linear::Linear;
pub use list::ClipList;
pub use source::FeatureOptions;
pub use train::{Example, STRENGTHS, Trained, train};

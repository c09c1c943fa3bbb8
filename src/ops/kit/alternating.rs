//! Buffers that are written alternately.

use crate::view::View;

/// Two buffers that hold the same tokens alternately, before a step and after it.
#[derive(Clone, Copy, Debug)]
pub struct Alternating(pub [View; 2]);

impl Alternating {
    /// The buffer that tokens go to from this one; the first, if they come from elsewhere.
    pub fn after(&self, view: View) -> View {
        let [first, second] = self.0;
        if view.buffer() == first.buffer() { second } else { first }
    }
}

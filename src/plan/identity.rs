//! Which plan it is, without looking at its contents.

use std::sync::{Arc, Weak};

/// Tells plans apart, so that what was made for one is found again. Clones of a plan have the same identity, since they never change; plans
/// with different identities may still be equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity(Arc<()>);

/// Remembers a plan without keeping it.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Weak<()>);

impl PartialEq for Identity {
    /// Identities say nothing about contents.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Identity {
    /// A key that no other plan has as long as a [`Memory`] of this one is kept.
    pub fn key(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    pub fn remember(&self) -> Memory {
        Memory(Arc::downgrade(&self.0))
    }
}

impl Memory {
    /// Whether the plan or a clone of it is still there.
    pub fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

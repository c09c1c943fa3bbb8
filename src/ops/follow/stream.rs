//! Following through the last frames of a stream: a new frame costs its own patches only.
//!
//! Keys and values are rings of `F` frames: a new frame replaces the oldest one. The softmax is over each frame alone, so the attention to the
//! other frames stays as it is while the queries do.

use super::{FollowSpec, ValueInput, attention_rows, checked, push_tokens_of, value_inputs, with_attention};
use crate::error::{Error, Result};
use crate::ops::Approximation;
use crate::plan::{BufferSpec, Plan, PlanBuilder, PlanLimits, Role};

/// A following over a ring of frames.
///
/// All its plans have the buffers of [`super::plan`] for the whole ring: the host binds the same parts each time, and puts the keys (and values) of a
/// new frame at [`Stream::slot`] before it runs what [`Stream::advance`] returns.
#[derive(Clone, Debug)]
pub struct Stream {
    /// For each slot the plan of a frame there; none for an approximation, whose landmarks are patches of all frames.
    slots: Vec<Plan>,
    window: Plan,
    frames: usize,
    has_tokens: bool,
    arrived: u64,
}

impl Stream {
    /// A stream with trajectory tokens: inputs `query [Q,D]`, `keys [F,S,D]` and those of [`value_inputs`], outputs `attention [Q,F,S]` and
    /// `tokens [Q,F,V]`.
    ///
    /// # Errors
    /// Those of [`super::plan`].
    pub fn new(spec: &FollowSpec, approximation: &Approximation, limits: PlanLimits) -> Result<Self> {
        Self::with(spec, approximation, limits, super::plan(spec, approximation, limits)?, true)
    }

    /// The attention alone: inputs `query` and `keys`, output `attention`.
    ///
    /// # Errors
    /// Those of [`super::plan`].
    pub fn attention(spec: &FollowSpec, approximation: &Approximation, limits: PlanLimits) -> Result<Self> {
        Self::with(spec, approximation, limits, with_attention(spec, approximation, limits)?.0.build(), false)
    }

    fn with(
        spec: &FollowSpec,
        approximation: &Approximation,
        limits: PlanLimits,
        window: Plan,
        has_tokens: bool,
    ) -> Result<Self> {
        let is_exact = *approximation == Approximation::Exact;
        let slots = 0..if is_exact { spec.frames } else { 0 };
        let slots = slots.map(|slot| slot_plan(spec, slot as u64, limits, has_tokens)).collect::<Result<_>>()?;
        Ok(Self { slots, window, frames: spec.frames, has_tokens, arrived: 0 })
    }

    /// Plans anew for the same sizes, such as for another scale or approximation: the frames stay in their slots, and their attention is that of before.
    ///
    /// # Errors
    /// Those of [`super::plan`], [`Error::Argument`] for other sizes.
    pub fn replan(&mut self, spec: &FollowSpec, approximation: &Approximation, limits: PlanLimits) -> Result<()> {
        let renewed =
            if self.has_tokens { Self::new(spec, approximation, limits)? } else { Self::attention(spec, approximation, limits)? };
        let shapes = |plan: &Plan| plan.buffers().iter().filter(|spec| is_bound(spec)).map(|spec| spec.shape.clone()).collect();
        let (known, given): (Vec<Vec<u64>>, _) = (shapes(&self.window), shapes(&renewed.window));
        if known != given {
            let (given, expected) = (format!("{given:?}"), format!("{known:?}, as the rings have them"));
            return Err(Error::Argument { what: "sizes of a stream", given, expected });
        }
        *self = Self { arrived: self.arrived, ..renewed };
        Ok(())
    }

    /// The slot of the ring that the next frame's keys and values belong in.
    pub fn slot(&self) -> usize {
        (self.arrived % self.frames as u64) as usize
    }

    /// Notes that the next frame is in its slot. Returns the plan to run: attention to that frame, and its tokens; all other frames keep theirs. With an
    /// approximation it is [`Stream::window`].
    pub fn advance(&mut self) -> &Plan {
        let slot = self.slot();
        self.arrived += 1;
        self.slots.get(slot).unwrap_or(&self.window)
    }

    /// The plan of all frames: to be run when the queries have changed.
    pub fn window(&self) -> &Plan {
        &self.window
    }

    /// Every plan, to be compiled ahead.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.slots.iter().chain([&self.window])
    }

    /// Slots that hold frames, oldest first. What is in the others means nothing.
    pub fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (frames, arrived) = (self.frames as u64, self.arrived);
        (arrived.saturating_sub(frames)..arrived).map(move |frame| (frame % frames) as usize)
    }
}

fn is_bound(spec: &BufferSpec) -> bool {
    spec.role == Role::Input || spec.is_output()
}

/// The plan of one frame of the ring.
fn slot_plan(spec: &FollowSpec, slot: u64, limits: PlanLimits, has_tokens: bool) -> Result<Plan> {
    let [queries, frames, patches, size, width] = checked(spec)?;
    let mut builder = PlanBuilder::new(limits);
    let query = builder.array("query", &[queries, size], Role::Input)?;
    let keys = builder.array("keys", &[frames, patches, size], Role::Input)?.part(0, slot, 1);
    let attention = builder.array("attention", &[queries, frames, patches], Role::Output)?.part(1, slot, 1);
    let rows = attention_rows(&mut builder, spec.scale, [query, keys, attention])?;
    builder.push_kernel(rows);
    if !has_tokens {
        return Ok(builder.build());
    }
    let tokens = builder.array("tokens", &[queries, frames, width], Role::Output)?.part(1, slot, 1);
    for ValueInput { name, frames } in value_inputs(spec, builder.limits())? {
        let values = builder.array(&name, &[frames.len() as u64, patches, width], Role::Input)?;
        if frames.contains(&(slot as usize)) {
            push_tokens_of(&mut builder, [attention, values.part(0, slot - frames.start as u64, 1), tokens])?;
        }
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_go_round_the_ring() {
        let spec = FollowSpec { queries: 1, frames: 3, patches: 5, head_size: 4, value_size: 2, scale: 1.0 };
        let mut stream = Stream::new(&spec, &Approximation::Exact, PlanLimits::default()).expect("small");
        assert_eq!(stream.order().count(), 0);
        let slots: Vec<usize> = (0..5)
            .map(|_| {
                let slot = stream.slot();
                assert_eq!(stream.advance().dispatches().count(), 2);
                slot
            })
            .collect();
        assert_eq!(slots, [0, 1, 2, 0, 1]);
        assert_eq!(stream.order().collect::<Vec<_>>(), [2, 0, 1]);
        assert_eq!(stream.plans().count(), 4);
        let mut early = Stream::attention(&spec, &Approximation::Exact, PlanLimits::default()).expect("small");
        early.advance();
        assert_eq!(early.order().collect::<Vec<_>>(), [0]);
    }
}

//! Where features come from: what a head was trained on has to be what it is given.

use orthoformer::Result;
use orthoformer_video::views::Views;

use crate::config::Protocol;
use crate::features::Tokens;
use crate::model::Model;
use crate::networks::Features;

/// Which features are made of clips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureOptions {
    /// After which part of the network.
    pub layer: Features,
    /// Which tokens.
    pub tokens: Tokens,
    /// How often a clip is looked at.
    pub views: Views,
    /// Views that go through the network together.
    pub batch: u32,
}

/// What features depend on beside the clip and the views, as names and values; what tells most comes first.
pub(super) fn facts(model: &Model<'_>, layer: Features, tokens: Tokens) -> Result<Vec<(&'static str, String)>> {
    let (network, protocol) = (&model.config().network, &model.config().protocol);
    let of_network = network.facts().into_iter().map(|(name, fact)| format!("{name} {fact}"));
    let [frames, height, width] = network.clip();
    // All of its structure: what people are told leaves out what hardly ever differs, such as the epsilon of norms.
    let architecture = format!("{network:?}");
    Ok(vec![
        ("network", [vec![network.title()], of_network.collect()].concat().join(", ")),
        ("weights", model.fingerprint()?),
        ("layer", layer.to_string()),
        ("tokens", tokens.name().to_owned()),
        ("size", format!("{frames} frames of {height} x {width}")),
        ("sampling", sampling(protocol)),
        (
            "pictures",
            format!(
                "{}; mean {:?}, deviation {:?}, {}",
                protocol.scaling(height),
                protocol.mean,
                protocol.std,
                colours(protocol)
            ),
        ),
        ("architecture", architecture),
    ])
}

fn sampling(protocol: &Protocol) -> String {
    match (protocol.segments, protocol.segment_starts) {
        (true, false) => "middles of segments".to_owned(),
        (true, true) => "starts of segments".to_owned(),
        (false, _) => format!("one frame in {} at {} a second", protocol.sampling_rate, protocol.target_fps),
    }
}

fn colours(protocol: &Protocol) -> &'static str {
    if protocol.reversed_channels { "blue first" } else { "red first" }
}

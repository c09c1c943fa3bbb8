//! Networks of drawn weights: a Perceiver and Deformable Video Transformers.

use std::collections::BTreeMap;
use std::path::Path;

use orthoformer::{Tensor, Tensors};
use orthoformer_models::NetworkOutputs;
use orthoformer_models::checkpoint::Checkpoint;
use orthoformer_models::{AttendOptions, Config, Overrides, PointedPatch, Rollout, weights};
use orthoformer_video::output::FrameReport;
use safetensors::tensor::{Dtype, TensorView};
use support::numbers;

use super::looking::*;

/// A checkpoint with drawn weights.
fn drawn(shapes: &[(String, Vec<usize>)], description: &str) -> Checkpoint {
    let tensors: BTreeMap<String, Tensor> = (0..)
        .zip(shapes)
        .map(|(seed, (name, shape))| {
            let inputs = shape.iter().skip(1).product::<usize>().max(1);
            let is_norm = name.contains("norm") && name.ends_with("weight");
            let scale = if shape.len() > 1 { 2.0 / (inputs as f32).sqrt() } else { 0.5 };
            let data = numbers(900 + seed, shape.iter().product(), scale);
            let data = data.into_iter().map(|x| if is_norm { 1.0 + x } else { x }).collect();
            (name.clone(), Tensor::new(shape.clone(), data).expect("its own shape"))
        })
        .collect();
    let views = tensors.iter().map(|(name, tensor)| {
        let view = TensorView::new(Dtype::F32, tensor.shape().to_vec(), bytemuck::cast_slice(tensor.data()));
        (name.clone(), view.expect("matches"))
    });
    let bytes = safetensors::serialize(views, None).expect("serialises");
    Checkpoint::parse(Path::new("DRAWN"), bytes).expect("a good file").described(description.to_owned())
}

/// `NAME.weight [outputs, inputs]` and `NAME.bias [outputs]`.
fn dense(name: &str, outputs: usize, inputs: usize) -> [(String, Vec<usize>); 2] {
    [(format!("{name}.weight"), vec![outputs, inputs]), (format!("{name}.bias"), vec![outputs])]
}

fn learned_norm(name: &str, width: usize) -> [(String, Vec<usize>); 2] {
    [(format!("{name}.weight"), vec![width]), (format!("{name}.bias"), vec![width])]
}

/// A Perceiver of videos with 11 latents of 12 numbers, and two heads of keys of eight.
fn perceiver() -> Checkpoint {
    let (d, c, keys) = (12, 243, 8);
    let mut shapes = vec![("embeddings.latents".to_owned(), vec![11, d])];
    for (layer, keys, of_key) in [("encoder.cross_attention", keys, c), ("encoder.self_attends.0", d, d)] {
        let name = |part: &str| format!("{layer}.{part}");
        shapes.extend(dense(&name("attention.self.query"), keys, d));
        shapes.extend(dense(&name("attention.self.key"), keys, of_key));
        shapes.extend(dense(&name("attention.self.value"), d, of_key));
        shapes.extend(dense(&name("attention.output.dense"), d, d));
        shapes.extend(learned_norm(&name("attention.self.layernorm1"), d));
        if of_key == c {
            shapes.extend(learned_norm(&name("attention.self.layernorm2"), c));
        }
        shapes.extend(learned_norm(&name("layernorm"), d));
        shapes.extend(dense(&name("mlp.dense1"), d, d));
        shapes.extend(dense(&name("mlp.dense2"), d, d));
    }
    drawn(
        &shapes,
        r#"{"model_type":"perceiver","d_model":243,"d_latents":12,"num_latents":11,"num_blocks":2,"num_self_attends_per_block":1,
        "num_cross_attention_heads":2,"num_self_attention_heads":3,"use_query_residual":true}"#,
    )
}

#[test]
fn of_a_perceiver_the_latent_is_shown_that_sees_the_patch_most() {
    let options = AttendOptions { frame: 5, ..AT };
    let known = Overrides { sampling_rate: Some(1), ..Overrides::default() };
    let looked = look(perceiver, &known, options);
    assert_eq!((looked.track.sightings.len(), looked.patch.grid.columns, looked.patch.block), (16, 56, 0));
    // Keys as the network hands them out; queries from the definition, and of one input the key too.
    let wanted = NetworkOutputs { operands: Some(1), ..NetworkOutputs::NOTHING };
    let outputs = looked.network.run(&looked.clip, &wanted).expect("runs");
    let all = weights(&perceiver(), looked.network.config()).expect("reads");
    let keys: Vec<Vec<f64>> = outputs["keys"].data().chunks(8).map(|key| key.iter().map(|&x| x.into()).collect()).collect();
    let name = "encoder.cross_attention.attention.self.";
    let latents: Vec<Vec<f64>> =
        all["embeddings.latents"].data().chunks(12).map(|latent| latent.iter().map(|&x| x.into()).collect()).collect();
    let rows: Vec<Vec<f64>> = latents
        .iter()
        .map(|latent| {
            let query = product(&norm(latent, &all, &format!("{name}layernorm1"), 1e-5), &all, &format!("{name}query"));
            let of_head = |head: usize| {
                let own = head * 4..head * 4 + 4;
                softmax(&keys.iter().map(|key| dot(&query[own.clone()], &key[own.clone()]) / 2.0).collect::<Vec<_>>())
            };
            of_head(0).iter().zip(of_head(1)).map(|(a, b)| (a + b) / 2.0).collect()
        })
        .collect();
    let patch = &looked.patch;
    let input = (patch.step * 56 + patch.patch.1 as usize) * 56 + patch.patch.0 as usize;
    let latent = (0..11).max_by(|&a, &b| rows[a][input].total_cmp(&rows[b][input])).expect("eleven");
    assert!(patch.notes.iter().any(|note| note.contains(&format!("latent {latent} of 11"))), "{:?}", patch.notes);
    close(&whole(&looked.track), &rows[latent], 1e-7);
    assert_eq!((outputs["queries"].shape(), outputs["keys"].shape()), ([1, 11, 8].as_slice(), [1, 50_176, 8].as_slice()));
    let shipped = Checkpoint::open(&shipped("networks/perceiver/model.safetensors")).expect("shipped");
    let config = Config::of(&shipped, &known).expect("says everything");
    let refused = PointedPatch::find(Path::new("none.mp4"), &config, options, |_, _| Ok(())).expect_err("inputs of 40 elements");
    assert!(refused.to_string().contains("50176 inputs of 243 elements"), "{refused}");
}

/// A Deformable Video Transformer of `[2 frames x 4 x 4 pixels]` patches in sub-clips of two, with two heads and three samples, at scales of these strides;
/// at one scale if there are none.
fn deformable(dot: bool, strides: &[[usize; 3]]) -> Checkpoint {
    let c = 12;
    let mut shapes = vec![
        ("patch_embed.proj.weight".to_owned(), vec![c, 3, 2, 4, 4]),
        ("patch_embed.proj.bias".to_owned(), vec![c]),
        ("pos_embed".to_owned(), vec![1, 36, c]),
        ("time_embed".to_owned(), vec![1, 4, c]),
    ];
    for block in 0..2 {
        let name = |part: &str| format!("blocks.{block}.{part}");
        shapes.extend(learned_norm(&name("norm1"), c));
        shapes.extend(learned_norm(&name("norm2"), c));
        if strides.is_empty() {
            shapes.extend(deformable_attention(&name("attn."), dot));
        }
        for (number, &[t, y, x]) in strides.iter().enumerate() {
            let scale = name(&format!("attn.scales.{number}."));
            shapes.extend([(format!("{scale}conv.weight"), vec![c, c, t, y, x]), (format!("{scale}conv.bias"), vec![c])]);
            shapes.extend(deformable_attention(&scale, dot));
        }
        if !strides.is_empty() {
            shapes.extend(dense(&name("attn.fuse.fc1"), c, strides.len() * c));
            shapes.extend(dense(&name("attn.fuse.fc2"), c, c));
        }
        shapes.extend(dense(&name("mlp.fc1"), 2 * c, c));
        shapes.extend(dense(&name("mlp.fc2"), c, 2 * c));
    }
    shapes.extend(learned_norm("norm", c));
    shapes.extend(dense("head", 5, c));
    let scales = if strides.is_empty() { String::new() } else { format!(r#","scales":{strides:?}"#) };
    let description = r#"{"model_type":"deformable_video_transformer","image_size":24,"num_frames":8,"num_attention_heads":2,"sub_clip":2,
        "motion_window":3"#;
    drawn(&shapes, &format!("{description}{scales}}}"))
}

/// D-ST-A's weights.
fn deformable_attention(prefix: &str, dot: bool) -> Vec<(String, Vec<usize>)> {
    let (c, heads, samples, hidden) = (12, 2, 3, 5);
    let name = |part: &str| format!("{prefix}{part}");
    let mut shapes = Vec::from(dense(&name(if dot { "qkv" } else { "qv" }), if dot { 3 * c } else { 2 * c }, c));
    shapes.push((name("offsets.weight"), vec![heads, 2 * samples, c / heads + 2]));
    shapes.push((name("offsets.bias"), vec![heads, 2 * samples]));
    if !dot {
        shapes.extend(dense(&name("motion"), hidden, 2));
        shapes.extend(dense(&name("logits"), heads * samples, hidden));
    }
    shapes.extend(dense(&name("proj"), c, c));
    shapes
}

fn look_at_deformable(dot: bool, strides: &[[usize; 3]], options: AttendOptions) -> (Looked, Tensors) {
    let known = Overrides { sampling_rate: Some(1), ..Overrides::default() };
    let looked = look(|| deformable(dot, strides), &known, options);
    assert_eq!((looked.track.sightings.len(), looked.patch.grid.columns), (4, 6));
    assert!(looked.network.config().network.name().starts_with("Deformable"));
    let wanted = NetworkOutputs { operands: options.block, ..NetworkOutputs::NOTHING };
    let outputs = looked.network.run(&looked.clip, &wanted).expect("runs");
    (looked, outputs)
}

/// What each patch has of the samples at a scale, from the definition: nothing that is a place away.
fn by_samples(patch: &PointedPatch, outputs: &Tensors, [t, y, x]: [usize; 3], prefix: &str, head: Option<u32>) -> Vec<f64> {
    let (rows, columns, sub_clip) = (6 / y, 6 / x, 2 / t);
    let tokens = 4 / t * rows * columns;
    let [moved, logits] = ["displacements", "sample_logits"].map(|name| &outputs[&format!("{prefix}{name}")]);
    assert_eq!((moved.shape(), logits.shape()), ([1, 2, tokens, sub_clip, 6].as_slice(), [1, 2, tokens, sub_clip, 3].as_slice()));
    let [step, row, column] = [patch.step / t, patch.patch.1 as usize / y, patch.patch.0 as usize / x];
    let token = (step * rows + row) * columns + column;
    let mut of_places = vec![0.0f64; tokens];
    for head in (0..2).filter(|own| head.is_none_or(|head| head as usize == *own)) {
        let (start, count) = ((head * tokens + token) * 3 * sub_clip, 3 * sub_clip);
        let weights = softmax(&logits.data()[start..start + count].iter().map(|&x| x.into()).collect::<Vec<_>>());
        for (sample, weight) in weights.into_iter().enumerate() {
            let to = |axis: usize| f64::from(moved.data()[2 * (start + sample) + axis]);
            let point = [column as f64 + to(0), row as f64 + to(1)];
            for place in 0..rows * columns {
                let away = [point[0] - (place % columns) as f64, point[1] - (place / columns) as f64];
                let share = away.map(|away| (1.0 - away.abs()).max(0.0));
                let frame = step / sub_clip * sub_clip + sample / 3;
                of_places[frame * rows * columns + place] += weight * share[0] * share[1];
            }
        }
    }
    let place_of = |n: usize| (n / 36 / t * rows + n / 6 % 6 / y) * columns + n % 6 / x;
    (0..144).map(|n| of_places[place_of(n)] / (t * y * x) as f64).collect()
}

/// Brings weights that count `all` together to one, and says how much of them there is.
fn brought_to_one(weights: &[f64], all: f64) -> (Vec<f64>, f64) {
    let total: f64 = weights.iter().sum();
    assert!(total > 0.1 * all, "some lie inside: {total}");
    (weights.iter().map(|weight| weight / total).collect(), total / all)
}

/// Whether a note has the share that is lost, where it is worth one.
fn says_what_is_lost(looked: &Looked, inside: f64) -> bool {
    let said = format!("{:.0} % of the patch's attention is lost", 100.0 * (1.0 - inside));
    let note = looked.patch.notes.iter().find(|note| note.contains("is lost at the edge"));
    note.map_or(inside >= 0.995, |note| note.contains(&said))
}

#[test]
fn a_deformable_networks_patch_sees_its_samples() {
    for (dot_logits, block, head) in [(true, 0, None), (true, 1, Some(1)), (false, 1, None), (false, 0, Some(0))] {
        let options = AttendOptions { block: Some(block), head, frame: 5, ..AT };
        let (looked, outputs) = look_at_deformable(dot_logits, &[], options);
        let heads = if head.is_some() { 1.0 } else { 2.0 };
        let (expected, inside) = brought_to_one(&by_samples(&looked.patch, &outputs, [1; 3], "", head), heads);
        close(&whole(&looked.track), &expected, 1e-5);
        assert!(says_what_is_lost(&looked, inside), "{inside} {:?}", looked.patch.notes);
        for (step, sighting) in looked.track.sightings.iter().enumerate() {
            let report = FrameReport::new(7, &looked.track.grid, sighting);
            let is_other_clip = step / 2 != looked.patch.step / 2;
            assert_eq!([sighting.is_blank(), report.centroid.is_none(), report.peak.is_none()], [is_other_clip; 3]);
            assert_eq!(report.to_string() == "frame    7: no attention", is_other_clip, "{report}");
        }
        if !dot_logits {
            assert_logits_of_motion(&looked, &outputs, block);
        }
    }
}

#[test]
fn at_several_scales_a_patch_sees_the_mean_of_what_it_sees_at_each() {
    let strides = [[1, 1, 1], [2, 2, 3], [1, 3, 2]];
    for (dot_logits, block, head) in [(true, 0, Some(1)), (false, 1, None)] {
        let options = AttendOptions { block: Some(block), head, frame: 5, at: Some((34.0, 33.0)), ..AT };
        let (looked, outputs) = look_at_deformable(dot_logits, &strides, options);
        let scale =
            |(number, &own): (usize, &[usize; 3])| by_samples(&looked.patch, &outputs, own, &format!("scales.{number}."), head);
        let scales: Vec<Vec<f64>> = strides.iter().enumerate().map(scale).collect();
        let sums: Vec<f64> = (0..144).map(|patch| scales.iter().map(|scale| scale[patch]).sum()).collect();
        let (expected, inside) = brought_to_one(&sums, if head.is_some() { 3.0 } else { 6.0 });
        close(&whole(&looked.track), &expected, 1e-5);
        assert!(says_what_is_lost(&looked, inside), "{inside} {:?}", looked.patch.notes);
        assert!(looked.patch.notes.iter().any(|note| note.contains("the mean of 3 scales")), "{:?}", looked.patch.notes);
    }
}

#[test]
fn where_blocks_have_other_tokens_nothing_is_rolled_out() {
    for checkpoint in [perceiver(), deformable(true, &[])] {
        let config = Config::of(&checkpoint, &Overrides::default()).expect("says everything");
        let rollout = Some(Rollout::Patch);
        let refused = PointedPatch::find(Path::new("none.mp4"), &config, AttendOptions { rollout, ..AT }, |_, _| Ok(()));
        let refused = refused.expect_err("refused").to_string();
        assert!(refused.contains("expected joint or divided attention among the same tokens"), "{refused}");
    }
}

/// Logits of motion follow from the biases where nothing moves, as in a patch's own frame.
fn assert_logits_of_motion(looked: &Looked, outputs: &Tensors, block: u32) {
    let all = weights(&deformable(false, &[]), looked.network.config()).expect("reads");
    let token = looked.patch.step * 36 + (looked.patch.patch.1 * 6 + looked.patch.patch.0) as usize;
    let name = |part: &str| format!("blocks.{block}.attn.{part}");
    let embedded: Vec<f64> = product(&[0.0, 0.0], &all, &name("motion")).into_iter().map(gelu).collect();
    let at_rest = product(&embedded, &all, &name("logits"));
    for (head, expected) in at_rest.chunks(3).enumerate() {
        let start = (head * 144 + token) * 6 + looked.patch.step % 2 * 3;
        for (found, expected) in outputs["sample_logits"].data()[start..start + 3].iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2))
}

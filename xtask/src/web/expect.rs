//! What has to be right about what the page shows and hands out.

use image::RgbImage;
use serde_json::Value;

use crate::Outcome;

/// Size of the generated clip, pixels.
pub const BALL_SIZE: [f64; 2] = [320.0, 240.0];
/// Frames of it.
const BALL_FRAMES: usize = 24;

/// The ball's centre in the first and in the last frame of the page's clip (seed 1), pixels: noted once, so that the page is not asked about itself.
pub const BALL_START: [f64; 2] = [104.3, 166.5];
const BALL_END: [f64; 2] = [236.4, 180.7];

fn number(value: &Value, what: &str) -> Result<f64, String> {
    value.as_f64().filter(|number| number.is_finite()).ok_or_else(|| format!("{what} is {value}"))
}

fn list<'v>(value: &'v Value, what: &str) -> Result<&'v [Value], String> {
    value.as_array().map(Vec::as_slice).filter(|list| !list.is_empty()).ok_or_else(|| format!("{what} is {value}"))
}

/// The centre of attention stays within so many patches of the ball, and ends where the ball does.
pub fn track(report: &Value, patches: f64) -> Outcome {
    let side = number(&report["patch_size"][0], "width of a patch")?;
    let depth = number(&report["patch_depth"], "depth of a patch")?;
    let steps = list(&report["steps"], "steps of the track")?;
    if steps.len() != (BALL_FRAMES as f64 / depth).ceil() as usize {
        return Err(format!("the track has {} steps", steps.len()));
    }
    for (index, step) in steps.iter().enumerate() {
        let off = number(&step["off_ball"], "distance to the ball")?;
        if off > patches * side {
            return Err(format!("in step {index} attention is {off:.1} pixels off the ball; a patch is {side:.1}"));
        }
    }
    for (step, ball) in [(steps.first(), BALL_START), (steps.last(), BALL_END)] {
        let centroid = step.map_or(&Value::Null, |step| &step["centroid"]);
        let [x, y] = [number(&centroid[0], "column")?, number(&centroid[1], "row")?];
        if (x - ball[0]).hypot(y - ball[1]) > 1.5 * side {
            return Err(format!("attention is at {x:.1},{y:.1} where the ball is at {ball:?}"));
        }
    }
    let times = &report["times"];
    for what in ["wall_ms", "run_ms"] {
        number(&times[what], what)?;
    }
    list(&times["kernels"], "kernel times")?;
    match report["adapter"]["name"].as_str() {
        Some(name) if !name.is_empty() => Ok(()),
        _ => Err("the adapter has no name".to_owned()),
    }
}

/// A clip of this name was followed, whatever there is in it: weights are weights, and positions lie inside.
pub fn steps(report: &Value, clip: &str) -> Outcome {
    if report["clip"]["name"] != clip {
        return Err(format!("the clip is {} rather than {clip}", report["clip"]));
    }
    let size = ["width", "height"].map(|side| report["clip"][side].as_f64().unwrap_or(0.0));
    for step in list(&report["steps"], "steps of the track")? {
        let weight = number(&step["peak_weight"], "largest weight")?;
        let [x, y] = [number(&step["centroid"][0], "column")?, number(&step["centroid"][1], "row")?];
        if !(weight > 0.0 && weight <= 1.001 && (0.0..=size[0]).contains(&x) && (0.0..=size[1]).contains(&y)) {
            return Err(format!("impossible in a clip of {size:?} pixels: {step}"));
        }
    }
    Ok(())
}

/// The heat map is in the picture: around the ball colours have changed towards its own, far away they have not.
pub fn heat(before: &[u8], after: &[u8], canvas: &[f64; 4], track: &Value) -> Outcome {
    let [before, after] = [decoded(before)?, decoded(after)?];
    let centroid = &track["steps"][0]["centroid"];
    let at = [number(&centroid[0], "column")?, number(&centroid[1], "row")?];
    let place = |at: [f64; 2]| [0, 1].map(|axis| (canvas[axis] + at[axis] / BALL_SIZE[axis] * canvas[axis + 2]) as u32);
    let change = |at: [f64; 2]| {
        let [x, y] = place(at);
        let mut sum = 0;
        for (dx, dy) in (0..7).flat_map(|dx| (0..7).map(move |dy| (dx, dy))) {
            let (old, new) = (pixel(&before, x + dx, y + dy), pixel(&after, x + dx, y + dy));
            sum += old.iter().zip(new).map(|(old, new)| u32::from(old.abs_diff(new))).sum::<u32>();
        }
        sum / 49
    };
    let near = change(at);
    // The opposite corner.
    let far = change([0, 1].map(|axis| if at[axis] < BALL_SIZE[axis] / 2.0 { BALL_SIZE[axis] - 12.0 } else { 12.0 }));
    match near > 60 && far < 30 {
        true => Ok(()),
        false => Err(format!("no heat map in the picture: colours changed by {near} at the ball and by {far} far from it")),
    }
}

fn decoded(png: &[u8]) -> Result<RgbImage, String> {
    Ok(image::load_from_memory(png).map_err(|error| format!("screenshot: {error}"))?.into_rgb8())
}

fn pixel(picture: &RgbImage, x: u32, y: u32) -> [u8; 3] {
    picture.get_pixel_checked(x, y).map_or([0; 3], |pixel| pixel.0)
}

/// Every case is there and passed, by numbers rather than by its word.
pub fn cases(report: &Value, count: usize) -> Outcome {
    let cases = list(&report["cases"], "cases")?;
    if cases.len() != count {
        return Err(format!("{} cases were run of {count}", cases.len()));
    }
    for case in cases {
        let name = &case["case"];
        let right = |one: &Value| {
            let share = one["share_of_tolerance"].as_f64().unwrap_or(f64::INFINITY);
            one["count"].as_u64().unwrap_or(0) > 0 && one["wrong"].as_u64() == Some(0) && share <= 1.0
        };
        let compared = |output: &Value| ["reference", "adapter", "between"].iter().all(|one| right(&output[one]));
        if !list(&case["outputs"], "outputs of a case").is_ok_and(|outputs| outputs.iter().all(compared))
            || case["passed"] != true
        {
            return Err(format!("case {name} failed: {case}"));
        }
    }
    Ok(())
}

/// Every row was timed, and operations of different kinds are there.
pub fn bench(report: &Value) -> Outcome {
    let rows = list(&report["rows"], "rows")?;
    let whole = rows.iter().filter(|row| !row["operation"].as_str().is_some_and(|name| name.contains('/')));
    let mut count = 0;
    for row in whole {
        count += 1;
        let median = number(&row["median_ms"], "median")?;
        if row["status"] != "ok" || median <= 0.0 {
            return Err(format!("not measured: {row}"));
        }
        number(&row["iqr_ms"], "interquartile range")?;
        number(&row["gflops"], "GFLOP/s")?;
    }
    let named = ["name", "backend"].iter().all(|key| report["adapter"][key].as_str().is_some_and(|name| !name.is_empty()));
    match named && report["user_agent"].is_string() && count >= 5 {
        true => Ok(()),
        false => Err(format!("the report has {count} operations of {}", report["adapter"])),
    }
}

/// Everything that can be operated has a name for screen readers.
pub fn named_controls(tree: &Value) -> Outcome {
    let controls = ["button", "slider", "combobox", "checkbox", "application", "textbox"];
    let mut count = 0;
    for node in list(&tree["nodes"], "accessibility tree")? {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        if node["ignored"] == true || !controls.iter().any(|control| role.eq_ignore_ascii_case(control)) {
            continue;
        }
        count += 1;
        if node["name"]["value"].as_str().unwrap_or_default().is_empty() {
            return Err(format!("a {role} has no name: {node}"));
        }
    }
    if count < 12 { Err(format!("only {count} controls are in the accessibility tree")) } else { Ok(()) }
}

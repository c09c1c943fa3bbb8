//! The page in Chromium, used as a visitor would: clicked, typed at, and what it hands out read.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::chromium::{self, Page};
use super::expect;
use super::server::Serving;
use super::{failed, root, target};
use crate::Outcome;

/// Longest that the page may take to start, for a track, for all cases, and for the benchmark: on a software driver, on a busy machine.
const START: Duration = Duration::from_secs(120);
const TRACK: Duration = Duration::from_secs(120);
const CASES: Duration = Duration::from_secs(900);
const BENCH: Duration = Duration::from_secs(600);
/// The narrowest phone that the page has to fit.
const PHONE: u32 = 360;

/// Ways in which a panic of the library ends a call: in the middle of a promise, and at once.
const CRASHES: [&str; 2] = [
    "new Promise(() => queueMicrotask(() => { throw new WebAssembly.RuntimeError('unreachable'); }))",
    "{ throw new WebAssembly.RuntimeError('unreachable'); }",
];
/// Has the page's worker crash when it is asked for a track.
const CRASHING_WORKER: &str = "window.Worker = class extends Worker {
  constructor(address, options) {
    const library = new URL('wasm/orthoformer_web.js', address);
    const script = `import '${address}'; import { Lab } from '${library}'; Lab.prototype.track = () => CRASH;`;
    super(URL.createObjectURL(new Blob([script], { type: 'text/javascript' })), options);
  }
};";

/// Tries the page that is in `folder`.
pub fn check(folder: &Path) -> Outcome {
    let Some(program) = chromium::program() else {
        println!(
            "xtask: SKIPPED the test in a browser: there is no Chromium (on Debian: apt-get install chromium; or set CHROMIUM to its path)"
        );
        return Ok(());
    };
    let serving = Serving::start(folder, 0)?;
    let pictures = target().join("web-test");
    fs::create_dir_all(&pictures).map_err(failed(pictures.display()))?;
    let mut page = Page::open(&program)?;
    let mut visit = Visit { page: &mut page, address: &serving.address, pictures: &pictures };
    let outcome = visit.everything();
    if outcome.is_err() {
        visit.picture("failed").ok();
    }
    outcome?;
    println!("xtask: the page passed in {}; pictures are in {}", program.display(), pictures.display());
    Ok(())
}

struct Visit<'v> {
    page: &'v mut Page,
    address: &'v str,
    pictures: &'v Path,
}

impl Visit<'_> {
    fn everything(&mut self) -> Outcome {
        self.window(1280, 900, false)?;
        self.page.go(self.address)?;
        self.until_idle(START)?;
        self.picture("ball")?;
        let track = self.follow_by_mouse()?;
        self.page.value("document.querySelector('#play').textContent === 'Pause' && document.querySelector('#play').click()")?;
        self.show_frame(0)?;
        expect::track(&track, 1.0)?;
        self.picture("track")?;
        let [with, without] = self.heat_pictures()?;
        expect::heat(&without, &with, &self.canvas()?, &track)?;
        println!("xtask: the ball was followed by the mouse; {}", self.text("#track-summary")?);
        expect::track(&self.follow_by_keyboard()?, 1.5)?;
        println!("xtask: and by the keyboard");
        expect::named_controls(&self.page.call("Accessibility.getFullAXTree", json!({}))?)?;
        self.phone()?;
        self.other_clips()?;
        println!("xtask: a video file and a webcam were followed, and what is no video refused");
        let report = self.report("cases", CASES)?;
        expect::cases(&report, count_cases()?)?;
        println!("xtask: {}", self.text("#cases-summary")?);
        let report = self.report("bench", BENCH)?;
        expect::bench(&report)?;
        println!(
            "xtask: the benchmark has {} rows; {}",
            report["rows"].as_array().map_or(0, Vec::len),
            self.text("#bench-summary")?
        );
        self.picture("reports")?;
        match self.page.complaints.as_slice() {
            [] => {}
            complaints => return Err(format!("the page complained on its console: {complaints:?}")),
        }
        CRASHES.iter().try_for_each(|crash| self.crash(crash))?;
        println!("xtask: after a crash the page asks to be reloaded, and does not wait for ever");
        self.without_webgpu()
    }

    /// Clicks on the ball, which is where the page knows it to be.
    fn follow_by_mouse(&mut self) -> Result<Value, String> {
        let canvas = self.canvas()?;
        let centre = expect::BALL_START;
        let place = |axis: usize, size: f64| canvas[axis] + centre[axis] / size * canvas[axis + 2];
        self.page.click(place(0, expect::BALL_SIZE[0]), place(1, expect::BALL_SIZE[1]))?;
        self.until_idle(TRACK)?;
        self.save("track")
    }

    /// Moves the crosshair from the middle of a new clip to the ball, and presses Enter.
    fn follow_by_keyboard(&mut self) -> Result<Value, String> {
        self.page.value("document.querySelector('#use-ball').click()")?;
        self.until_idle(START)?;
        self.page.value("document.querySelector('#canvas').focus()")?;
        let centre = expect::BALL_START;
        for (axis, [back, forth]) in [["ArrowLeft", "ArrowRight"], ["ArrowUp", "ArrowDown"]].into_iter().enumerate() {
            let steps = (centre[axis] - expect::BALL_SIZE[axis] / 2.0) / 4.0;
            for _ in 0..steps.abs().round() as u32 {
                self.page.press(if steps < 0.0 { back } else { forth })?;
            }
        }
        self.page.press("Enter")?;
        self.until_idle(TRACK)?;
        self.save("track")
    }

    /// A video file and a webcam (which Chromium makes up) are clips too; of a file that the browser cannot show, the page says so.
    fn other_clips(&mut self) -> Outcome {
        self.choose_file("ball.mp4")?;
        self.until_idle(START)?;
        expect::steps(&self.follow_middle()?, "ball.mp4")?;
        self.page.value("document.querySelector('#use-webcam').click()")?;
        self.until_idle(START)?;
        expect::steps(&self.follow_middle()?, "webcam")?;
        self.picture("webcam")?;
        self.choose_file("ball.y4m")?;
        match self.until_idle(START) {
            Err(trouble) if trouble.contains("cannot play this file") => Ok(()),
            other => Err(format!("a file that is no video of the browser's: {other:?}")),
        }
    }

    /// Chooses a file, and waits until the page has noticed: it hears of that later than the browser answers.
    fn choose_file(&mut self, name: &str) -> Outcome {
        let said = "document.querySelector('#clip-name').textContent + document.querySelector('#trouble').textContent";
        let before = self.page.value(said)?;
        let input = self.page.call("Runtime.evaluate", json!({ "expression": "document.querySelector('#file')" }))?;
        let file = root().join("tests/clips").join(name);
        let chosen = json!({ "files": [file], "objectId": input["result"]["objectId"] });
        self.page.call("DOM.setFileInputFiles", chosen)?;
        self.page.wait_for(&format!("{said} !== {before}"), START)
    }

    fn follow_middle(&mut self) -> Result<Value, String> {
        self.page.value("document.querySelector('#canvas').focus()")?;
        self.page.press("Enter")?;
        self.until_idle(TRACK)?;
        self.save("track")
    }

    /// Runs cases or benchmark by its button.
    fn report(&mut self, name: &str, patience: Duration) -> Result<Value, String> {
        self.page.value(&format!("document.querySelector('#{name}-run').click()"))?;
        self.until_idle(patience)?;
        self.save(name)
    }

    /// Downloads what a button offers.
    fn save(&mut self, name: &str) -> Result<Value, String> {
        let button = format!("document.querySelector('#{name}-save')");
        if self.page.value(&format!("{button}.disabled"))? != json!(false) {
            return Err(format!("there is no {name} to download: {}", self.text("#trouble")?));
        }
        self.page.value(&format!("{button}.click()"))?;
        let report = self.page.download()?;
        let file = self.pictures.join(format!("{name}.json"));
        fs::write(&file, report.to_string()).map_err(failed(file.display()))?;
        Ok(report)
    }

    /// Nothing sticks out on a phone.
    fn phone(&mut self) -> Outcome {
        self.window(PHONE, 780, true)?;
        let width = self.page.value("document.scrollingElement.scrollWidth")?;
        self.picture("phone")?;
        self.page.value("document.querySelector('#kernels').scrollIntoView()")?;
        self.picture("phone-kernels")?;
        self.window(1280, 900, false)?;
        match width.as_u64() {
            Some(width) if width <= PHONE.into() => Ok(()),
            _ => Err(format!("the page is {width} pixels wide on a phone of {PHONE}")),
        }
    }

    /// Of a library that crashes while it tracks, the page says so, and says it again whatever is asked for afterwards.
    fn crash(&mut self, crash: &str) -> Outcome {
        let source = json!({ "source": CRASHING_WORKER.replace("CRASH", crash) });
        let script = self.page.call("Page.addScriptToEvaluateOnNewDocument", source)?;
        self.page.go(&format!("{}?crash", self.address))?;
        self.until_idle(START)?;
        self.page.value("document.querySelector('#canvas').focus()")?;
        self.page.press("Enter")?;
        for next in ["document.querySelector('#use-ball').click()", "true"] {
            match self.until_idle(START) {
                Err(trouble) if trouble.contains("please reload the page. (unreachable)") => {}
                other => return Err(format!("the library crashed by {crash}, and the page: {other:?}")),
            }
            self.page.value(next)?;
        }
        let script = json!({ "identifier": script["identifier"] });
        self.page.call("Page.removeScriptToEvaluateOnNewDocument", script).map(drop)
    }

    /// A browser without WebGPU is told so.
    fn without_webgpu(&mut self) -> Outcome {
        let source = "Object.defineProperty(Navigator.prototype, 'gpu', { value: undefined })";
        self.page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source }))?;
        self.page.go(&format!("{}?again", self.address))?;
        self.until_idle(START)?;
        let said = self.text("#missing")?;
        self.picture("missing")?;
        let all_off = self.page.value("[...document.querySelectorAll('button')].every((button) => button.disabled)")?;
        match said.contains("WebGPU is not available") && all_off == json!(true) {
            true => Ok(()),
            false => Err(format!("without WebGPU the page says {said:?}")),
        }
    }

    fn until_idle(&mut self, patience: Duration) -> Outcome {
        self.page.wait_for("document.querySelector('#main').getAttribute('aria-busy') === 'false'", patience)?;
        match self.text("#trouble")?.as_str() {
            "" => Ok(()),
            trouble => Err(format!("the page says: {trouble}; {:?}", self.page.complaints)),
        }
    }

    /// The same frame with the heat map and without, marks left out of both.
    fn heat_pictures(&mut self) -> Result<[Vec<u8>; 2], String> {
        let toggle = |name: &str| format!("document.querySelector('#show-{name}').click(); document.activeElement.blur()");
        self.page.value(&toggle("marks"))?;
        let with = self.picture("heat")?;
        self.page.value(&toggle("heat"))?;
        let without = self.picture("no-heat")?;
        for name in ["marks", "heat"] {
            self.page.value(&toggle(name))?;
        }
        Ok([with, without])
    }

    fn show_frame(&mut self, frame: u32) -> Outcome {
        let slider = "document.querySelector('#frame')";
        self.page.value(&format!(
            "{slider}.value = {frame}; {slider}.dispatchEvent(new Event('input')); document.activeElement.blur()"
        ))?;
        Ok(())
    }

    /// Left, top, width and height of the canvas in the window.
    fn canvas(&mut self) -> Result<[f64; 4], String> {
        let script = "(() => { const box = document.querySelector('#canvas').getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; })()";
        let sides = self.page.value(script)?;
        let side = |index: usize| sides[index].as_f64().ok_or_else(|| format!("the canvas is at {sides}"));
        Ok([side(0)?, side(1)?, side(2)?, side(3)?])
    }

    fn text(&mut self, selector: &str) -> Result<String, String> {
        let text = self.page.value(&format!("document.querySelector('{selector}').textContent.trim()"))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    fn window(&mut self, width: u32, height: u32, mobile: bool) -> Outcome {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.page.call("Emulation.setDeviceMetricsOverride", size).map(drop)
    }

    fn picture(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let file = self.pictures.join(format!("{name}.png"));
        let picture = self.page.screenshot()?;
        fs::write(&file, &picture).map_err(failed(file.display()))?;
        Ok(picture)
    }
}

/// How many cases ship.
fn count_cases() -> Result<usize, String> {
    let folder = root().join("crates/cli/shipped/cases");
    let entries = fs::read_dir(&folder).map_err(failed(folder.display()))?;
    Ok(entries.flatten().filter(|entry| entry.path().extension().is_some_and(|extension| extension == "safetensors")).count())
}

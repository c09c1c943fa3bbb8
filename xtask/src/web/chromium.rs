//! Chromium without a window, driven through its DevTools protocol.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use super::failed;

/// Longest that a command may take; what the page does itself is waited for by asking again and again.
const PATIENCE: Duration = Duration::from_secs(60);
const START_PATIENCE: Duration = Duration::from_secs(60);
/// A GPU in software and a made-up webcam, the same everywhere; and none of what Chromium would do besides, above all asking for hosts elsewhere.
const SWITCHES: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];

/// The browser, if there is one.
pub fn program() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
    named.into_iter().chain(usual).find(|path| path.is_file())
}

/// A running browser with one page.
pub struct Page {
    process: Child,
    profile: TempDir,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: String,
    last_command: u64,
    /// What the page has complained about on its console, and errors that nothing caught.
    pub complaints: Vec<String>,
}

impl Page {
    /// Starts the browser.
    pub fn open(program: &Path) -> Result<Self, String> {
        let profile = tempfile::tempdir().map_err(failed("a folder for the browser"))?;
        let folder = format!("--user-data-dir={}", profile.path().display());
        let mut command = Command::new(program);
        command.args(SWITCHES).arg(folder).arg("about:blank").stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().map_err(failed(program.display()))?;
        let socket = match connected(&mut process, profile.path()) {
            Ok(socket) => socket,
            Err(error) => {
                end(&mut process);
                return Err(error);
            }
        };
        let (session, complaints) = (String::new(), Vec::new());
        let mut page = Self { process, profile, socket, session, last_command: 0, complaints };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attached = page.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }))?;
        page.session = attached["sessionId"].as_str().unwrap_or_default().to_owned();
        for domain in ["Page", "Runtime", "Log", "Accessibility"] {
            page.call(&format!("{domain}.enable"), json!({}))?;
        }
        let downloads = page.downloads().display().to_string();
        page.call("Browser.setDownloadBehavior", json!({ "behavior": "allow", "downloadPath": downloads }))?;
        Ok(page)
    }

    /// Where downloads go.
    fn downloads(&self) -> PathBuf {
        self.profile.path().join("downloads")
    }

    /// Sends a command and waits for its answer.
    pub fn call(&mut self, method: &str, parameters: Value) -> Result<Value, String> {
        self.last_command += 1;
        let number = self.last_command;
        let mut command = json!({ "id": number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(command.to_string())).map_err(failed(method))?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let message = self.socket.read().map_err(failed(format!("{method}: no answer")))?;
            let Ok(text) = message.to_text() else { continue };
            let answer: Value = serde_json::from_str(text).unwrap_or_default();
            if answer["id"] != json!(number) {
                self.listen(&answer);
            } else if answer["error"].is_null() {
                return Ok(answer["result"].clone());
            } else {
                return Err(format!("{method}: {}", answer["error"]));
            }
        }
        Err(format!("{method}: no answer for {} s", PATIENCE.as_secs()))
    }

    /// Keeps complaints.
    fn listen(&mut self, event: &Value) {
        let said = &event["params"];
        let complaint = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(said["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled") if said["type"] == "error" => Some(said["args"].to_string()),
            Some("Log.entryAdded") if said["entry"]["level"] == "error" => Some(said["entry"].to_string()),
            _ => None,
        };
        self.complaints.extend(complaint);
    }

    /// The value of an expression in the page; promises are waited for.
    pub fn value(&mut self, expression: &str) -> Result<Value, String> {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", parameters)?;
        match &answer["exceptionDetails"] {
            Value::Null => Ok(answer["result"]["value"].clone()),
            details => Err(format!("{expression}: {details}")),
        }
    }

    /// Waits until an expression is true.
    pub fn wait_for(&mut self, expression: &str, patience: Duration) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < patience {
            if self.value(expression)? == json!(true) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let said = self.value("document.querySelector('#status')?.innerText")?;
        Err(format!(
            "after {} s not yet: {expression}; the page says {said}; complaints: {:?}",
            patience.as_secs(),
            self.complaints
        ))
    }

    pub fn go(&mut self, address: &str) -> Result<(), String> {
        self.call("Page.navigate", json!({ "url": address }))?;
        self.wait_for("document.readyState === 'complete'", PATIENCE)
    }

    /// Clicks at a place of the window, as a mouse does.
    pub fn click(&mut self, x: f64, y: f64) -> Result<(), String> {
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event)?;
        }
        Ok(())
    }

    /// Presses a key on whatever has the focus.
    pub fn press(&mut self, key: &str) -> Result<(), String> {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "text": if kind == "keyDown" { text } else { "" } });
            self.call("Input.dispatchKeyEvent", event)?;
        }
        Ok(())
    }

    /// A picture of the window as a PNG file.
    pub fn screenshot(&mut self) -> Result<Vec<u8>, String> {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }))?;
        let text = answer["data"].as_str().unwrap_or_default();
        base64::engine::general_purpose::STANDARD.decode(text).map_err(failed("screenshot"))
    }

    /// Waits for the download of a JSON file, and takes it away.
    pub fn download(&mut self) -> Result<Value, String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            // Chromium gives a file its name when all of it is there.
            for entry in fs::read_dir(self.downloads()).into_iter().flatten().flatten() {
                if entry.path().extension().is_some_and(|extension| extension == "json") {
                    let bytes = fs::read(entry.path()).map_err(failed("download"))?;
                    fs::remove_file(entry.path()).map_err(failed("download"))?;
                    return serde_json::from_slice(&bytes).map_err(failed("download"));
                }
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("no download for {} s", PATIENCE.as_secs()))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// Ends the browser; one that is gone already needs nothing.
fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

/// Connects to a browser, which writes the address into its profile once it listens.
fn connected(process: &mut Child, profile: &Path) -> Result<WebSocket<MaybeTlsStream<TcpStream>>, String> {
    let start = Instant::now();
    let address = loop {
        let text = fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = text.split_once('\n') {
            break format!("ws://127.0.0.1:{port}{}", path.trim());
        }
        if let Ok(Some(status)) = process.try_wait() {
            return Err(format!("Chromium ended at once: {status}"));
        }
        if start.elapsed() > START_PATIENCE {
            return Err(format!("Chromium was not ready after {} s", START_PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let (socket, _) = tungstenite::connect(&address).map_err(failed(address))?;
    if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed("DevTools"))?;
    }
    Ok(socket)
}

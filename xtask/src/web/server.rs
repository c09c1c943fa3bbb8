//! A static server on this machine alone, to look at the page and to test it.

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tiny_http::{Header, Request, Response, Server};

use super::failed;
use crate::Outcome;

/// Serves a folder until it is dropped.
pub struct Serving {
    server: Arc<Server>,
    pub address: String,
}

impl Serving {
    pub fn start(folder: &Path, port: u16) -> Result<Self, String> {
        let server = Arc::new(Server::http(("127.0.0.1", port)).map_err(failed("static server"))?);
        let address = format!("http://{}/", server.server_addr());
        let (worker, folder) = (server.clone(), folder.to_owned());
        std::thread::spawn(move || worker.incoming_requests().for_each(|request| answer(&folder, request)));
        Ok(Self { server, address })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

/// Serves a folder until the program is ended.
pub fn serve_forever(folder: &Path) -> Outcome {
    let serving = Serving::start(folder, 8000)?;
    println!("xtask: serving {} at {} (Ctrl-C ends it)", folder.display(), serving.address);
    loop {
        std::thread::park();
    }
}

fn answer(folder: &Path, request: Request) {
    let path = request.url().split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
    let path = PathBuf::from(if path.is_empty() { "index.html" } else { path });
    let is_inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    let file = is_inside.then(|| File::open(folder.join(&path)).ok()).flatten();
    // Whoever has hung up meanwhile needs no answer.
    let _ = match file {
        Some(file) => {
            let header = Header::from_bytes("Content-Type", content_type(&path));
            let response = Response::from_file(file);
            request.respond(match header {
                Ok(header) => response.with_header(header),
                Err(()) => response,
            })
        }
        None => request.respond(Response::from_string("not found").with_status_code(404)),
    };
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

//! The example on a screen of its own (Xvfb), used as somebody would: it plays, and a click moves the heat.
#![cfg(target_os = "linux")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{self, ConnectionExt as _, ImageFormat};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

const SCREEN: (u16, u16) = (900, 480);
/// The clip on the screen, pixels.
const CLIP: (u16, u16) = (640, 480);

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A screen, unless there is no Xvfb.
fn screen(display: &str) -> Option<(Running, RustConnection)> {
    let size = format!("{}x{}x24", SCREEN.0, SCREEN.1);
    let mut command = Command::new("Xvfb");
    command.args([display, "-screen", "0", &size, "-nolisten", "tcp"]).stderr(Stdio::null());
    let server = Running(command.spawn().ok()?);
    let connected = until(Duration::from_secs(20), || x11rb::connect(Some(display)).ok());
    Some((server, connected.expect("Xvfb answers").0))
}

fn until<T>(patience: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < patience {
        if let Some(value) = ready() {
            return Some(value);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    None
}

/// Red, green and blue of the clip's pixels.
fn picture(connection: &RustConnection) -> Vec<[u8; 3]> {
    let root = connection.setup().roots[0].root;
    let image = connection.get_image(ImageFormat::Z_PIXMAP, root, 0, 0, CLIP.0, CLIP.1, !0).expect("asks");
    let bytes = image.reply().expect("a picture").data;
    bytes.chunks_exact(4).map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect()
}

/// Mean brightness of the pixels around a point.
fn brightness(pixels: &[[u8; 3]], (x, y): (u16, u16)) -> u32 {
    let around = (y - 12..y + 12).flat_map(|row| (x - 12..x + 12).map(move |column| (column, row)));
    let sums = around.map(|(column, row)| pixels[usize::from(row) * usize::from(CLIP.0) + usize::from(column)]);
    sums.map(|[red, green, _]| u32::from(red) + u32::from(green)).sum::<u32>() / (24 * 24)
}

fn click(connection: &RustConnection, (x, y): (u16, u16)) {
    let root = connection.setup().roots[0].root;
    connection.warp_pointer(x11rb::NONE, root, 0, 0, 0, 0, x as i16, y as i16).expect("moves");
    for kind in [xproto::MOTION_NOTIFY_EVENT, xproto::BUTTON_PRESS_EVENT, xproto::BUTTON_RELEASE_EVENT] {
        let detail = if kind == xproto::MOTION_NOTIFY_EVENT { 0 } else { 1 };
        connection.xtest_fake_input(kind, detail, 0, root, x as i16, y as i16, 0).expect("sends");
        connection.flush().expect("sends");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn the_clip_plays_and_a_click_moves_the_heat() {
    let display = format!(":{}", 2000 + std::process::id() % 30_000);
    let Some((_screen, connection)) = screen(&display) else {
        println!("skipped: the window of the example, as there is no Xvfb");
        return;
    };
    let mut program = Command::new(env!("CARGO_BIN_EXE_embed_egui"));
    program.env("DISPLAY", &display).env_remove("WAYLAND_DISPLAY");
    let mut program = Running(program.spawn().expect("starts"));
    // It plays: pictures have many colours, and change.
    let first = until(Duration::from_secs(120), || {
        assert!(program.0.try_wait().expect("asks").is_none(), "the program ended");
        let pixels = picture(&connection);
        let colours: std::collections::HashSet<_> = pixels.iter().collect();
        (colours.len() > 2000).then_some(pixels)
    });
    let first = first.expect("a clip is shown");
    until(Duration::from_secs(20), || (picture(&connection) != first).then_some(())).expect("the clip plays");
    // A click on the still ground makes it hot there, and another one elsewhere takes the heat away again.
    let [here, there] = [(60, 60), (580, 400)];
    for (at, other) in [(here, there), (there, here)] {
        let before = picture(&connection);
        click(&connection, at);
        let moved = until(Duration::from_secs(60), || {
            let pixels = picture(&connection);
            (brightness(&pixels, at) > brightness(&before, at) + 60).then_some(pixels)
        });
        let Some(pixels) = moved else {
            let (was, is) = (brightness(&before, at), brightness(&picture(&connection), at));
            panic!("no heat at {at:?}: brightness {was} before, {is} after");
        };
        assert!(brightness(&pixels, at) > brightness(&pixels, other) + 30, "{at:?} is hotter than {other:?}");
    }
}

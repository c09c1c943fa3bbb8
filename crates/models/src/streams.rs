//! Views in a thread of their own: clips are decoded one after the other, while the device works on the views before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use orthoformer::{Error, Result};
use orthoformer_video::views::{Source, View, ViewStream, WindowStream};

/// Views that wait for the device, beside the batch that is put together.
const MOST_WAITING: usize = 2;

/// The views of a clip, one after the other.
pub(crate) trait Stream: Iterator<Item = Result<View>> {
    /// What is known of the clip; `None` if its length is not.
    fn source(&self) -> Option<Source>;

    /// What people should know about the views. Complete once the last one is out.
    fn notes(&self) -> &[String];

    /// Decodes a frame on the way to the next view. `false` if that has all it needs.
    fn decode_towards(&mut self) -> Result<bool>;
}

impl Stream for ViewStream {
    fn source(&self) -> Option<Source> {
        Some(self.source())
    }

    fn notes(&self) -> &[String] {
        self.notes()
    }

    fn decode_towards(&mut self) -> Result<bool> {
        self.decode_towards()
    }
}

impl Stream for WindowStream {
    fn source(&self) -> Option<Source> {
        None
    }

    fn notes(&self) -> &[String] {
        self.notes()
    }

    fn decode_towards(&mut self) -> Result<bool> {
        self.decode_towards()
    }
}

/// What the decoding thread has to say.
pub(crate) enum Message {
    Opened(usize, Option<Source>),
    View(usize, View),
    Ended(usize, Vec<String>),
    Failed(usize, Error),
}

/// The decoding thread. It ends with the frame that it is at once this is dropped: nobody waits for it, as streams may stall.
pub(crate) struct Decoder {
    thread: Option<JoinHandle<()>>,
    unwanted: Arc<AtomicBool>,
}

impl Decoder {
    /// Starts decoding; the clips are opened one after the other.
    pub fn start<S: Stream>(
        clips: Vec<PathBuf>,
        open: impl FnMut(&Path) -> Result<S> + Send + 'static,
    ) -> (Self, Receiver<Message>) {
        let (sender, receiver) = sync_channel(MOST_WAITING);
        let unwanted = Arc::new(AtomicBool::new(false));
        let asked = unwanted.clone();
        let thread = std::thread::spawn(move || decode(&clips, open, &sender, &asked));
        (Self { thread: Some(thread), unwanted }, receiver)
    }

    /// Waits for the end, once nothing more comes: whether all clips were gone through. If not, a decoder gave up on one, and a message says why.
    pub fn finish(mut self) -> bool {
        self.thread.take().is_none_or(|thread| thread.join().is_ok())
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
    }
}

/// Decodes clip after clip until all are done or nobody listens.
fn decode<S: Stream>(
    clips: &[PathBuf],
    mut open: impl FnMut(&Path) -> Result<S>,
    sender: &SyncSender<Message>,
    unwanted: &AtomicBool,
) {
    for (number, path) in clips.iter().enumerate() {
        let mut stream = match open(path) {
            Ok(stream) => stream,
            Err(error) => match sender.send(Message::Failed(number, error)) {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if sender.send(Message::Opened(number, stream.source())).is_err() {
            return;
        }
        let mut failed = false;
        while let Some(view) = next_view(&mut stream, unwanted) {
            failed = view.is_err();
            let message = view.map_or_else(|error| Message::Failed(number, error), |view| Message::View(number, view));
            if sender.send(message).is_err() {
                return;
            }
        }
        if !failed && sender.send(Message::Ended(number, stream.notes().to_vec())).is_err() {
            return;
        }
    }
}

/// The next view, decoded frame by frame as long as somebody waits for it.
fn next_view(stream: &mut impl Stream, unwanted: &AtomicBool) -> Option<Result<View>> {
    while !unwanted.load(Ordering::Relaxed) {
        match stream.decode_towards() {
            Ok(true) => {}
            Ok(false) => return stream.next(),
            Err(error) => return Some(Err(error)),
        }
    }
    None
}

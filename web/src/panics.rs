//! A bug that makes the library panic leaves every promise of it open: the page has to hear of it another way.

use std::cell::RefCell;

use wasm_bindgen::prelude::wasm_bindgen;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

#[wasm_bindgen(start)]
fn listen() {
    std::panic::set_hook(Box::new(|panic| LAST.set(Some(panic.to_string()))));
}

/// What the library said when it panicked, if it did. Nothing else of it can be used after that.
#[wasm_bindgen]
pub fn last_panic() -> Option<String> {
    LAST.with_borrow(Clone::clone)
}

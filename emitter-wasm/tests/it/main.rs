//! The crate in a browser, without its TypeScript, against the real relay (`npm run test:wasm --workspace atomwire`
//! starts one, and says where).
#![cfg(target_arch = "wasm32")]

mod plain_contract;
mod session;
mod support;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

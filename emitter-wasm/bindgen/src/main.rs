//! `atomwire-bindgen <module.wasm> <out-dir>`: writes the glue and the module beside it.
//!
//! What `wasm-bindgen --target web` does, without a second binary to install and to keep in step; and before
//! that, two things that make the module smaller and older browsers able to read it.

use std::env;
use walrus::Module;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = env::args().skip(1);
    let (Some(path), Some(out_dir), None) = (args.next(), args.next(), args.next()) else {
        return Err("usage: atomwire-bindgen <module.wasm> <out-dir>".into());
    };
    let mut module = Module::from_file(path)?;
    // It lists what the standard library was compiled with, used here or not, and wasm-bindgen would use
    // it: reference types and multiple return values, which Safari 15 and webpack before 5.97 cannot read.
    module.customs.remove_raw("target_features");
    // What wasm-bindgen knows of an instance that a panic left: ours traps, and whoever has it throws it away.
    for name in ["__abort_handler", "__instance_terminated"] {
        module.exports.remove(name)?;
    }
    Bindgen::new()
        .input_module("atomwire_emitter", module)
        .web(true)?
        .typescript(true)
        .remove_producers_section(true)
        .generate(out_dir)?;
    Ok(())
}

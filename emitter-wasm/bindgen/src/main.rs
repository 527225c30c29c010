//! `atomwire-bindgen <module.wasm> <out-dir>`: writes the glue and the module beside it.
//!
//! What `wasm-bindgen --target web` does, without a second binary to install and to keep in step; and before
//! that, two things that make the module smaller and older browsers able to read it.

use std::env;
use walrus::{FunctionBuilder, FunctionId, FunctionKind, Module};
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
    snip_panic_messages(&mut module);
    Bindgen::new()
        .input_module("atomwire_emitter", module)
        .web(true)?
        .typescript(true)
        // js/load.ts names the module's URL, where bundlers and readers see it.
        .omit_default_module_path(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(out_dir)?;
    Ok(())
}

/// A panic ends in a trap, and nobody ever sees its message: what would format it becomes the trap itself
/// (as `wasm-snip` used to do).
fn snip_panic_messages(module: &mut Module) {
    let formatters: Vec<FunctionId> = module
        .funcs
        .iter_local()
        .map(|(id, _)| id)
        .filter(|id| module.funcs.get(*id).name.as_deref().is_some_and(is_formatter))
        .collect();
    for id in formatters {
        let (params, results) = module.types.params_results(module.funcs.get(id).ty());
        let (params, results) = (params.to_vec(), results.to_vec());
        let mut trap = FunctionBuilder::new(&mut module.types, &params, &results);
        trap.func_body().unreachable();
        let args = params.iter().map(|param| module.locals.add(*param)).collect();
        module.funcs.get_mut(id).kind = FunctionKind::Local(trap.local_func(args));
    }
}

/// Nothing in the emitter formats but a panic: texts are put together by `concat`.
fn is_formatter(name: &str) -> bool {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    ["core::fmt::", "core::panicking::", "std::panicking::"].iter().any(|module| name.contains(module))
}

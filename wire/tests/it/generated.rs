//! The generated code is what the schema generates. `UPDATE_GENERATED=1 cargo test -p atomwire-wire
//! generated` writes it anew.

use std::{env, fs, path::Path};

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = protox::compile(["atomwire/v1/atomwire.proto"], [root.join("proto")]).unwrap();
    let out = env::temp_dir().join(format!("atomwire-generated-{}", std::process::id()));
    fs::create_dir_all(&out).unwrap();
    prost_build::Config::new().bytes(["."]).out_dir(&out).compile_fds(schema).unwrap();
    let fresh = fs::read_to_string(out.join("atomwire.v1.rs")).unwrap();
    fs::remove_dir_all(&out).unwrap();
    let path = root.join("src/proto/atomwire.v1.rs");
    if env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == fresh, "stale: see the head of this file");
}

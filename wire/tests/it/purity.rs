//! This crate is bytes and rules: it knows no files, no sockets, no clock and no async runtime.

use std::fs;
use std::path::Path;

/// All that it needs of the standard library, each on a line of its own.
const NEEDED: [&str; 3] = ["std::collections::BTreeSet", "std::collections::VecDeque", "std::sync::Arc"];

/// Words that it does without.
const ELSEWHERE: [&str; 3] = ["std", "async", "await"];

/// What `source` knows of the world, beside its comments.
fn worldly(source: &str) -> Vec<&str> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let needed = |line: &&str| NEEDED.iter().any(|name| *line == format!("use {name};"));
    let word = |it: char| it.is_alphanumeric() || it == '_';
    let words = code.filter(|line| !needed(line)).flat_map(|line| line.split(move |it| !word(it)));
    words.filter(|word| ELSEWHERE.contains(word)).collect()
}

fn check(folder: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += check(&path);
        } else {
            let source = fs::read_to_string(&path).unwrap();
            assert!(worldly(&source).is_empty(), "{:?} in {}", worldly(&source), path.display());
            files += 1;
        }
    }
    files
}

#[test]
fn no_io_no_clock_no_async() {
    assert!(check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) > 10);
}

#[test]
fn however_it_is_written() {
    for source in [
        "use std::time::Instant;",
        "use std::{fs, time};",
        "use std::{\n    fs,\n    time,\n};",
        "use ::std::net;",
        "use std as s;",
        "extern crate std;",
        "fn now() -> u64 { std :: time::SystemTime::now() }",
        "async fn run() {}",
        "let it = async { 1 };",
        "it.await",
    ] {
        assert!(!worldly(source).is_empty(), "{source}");
    }
    for source in
        ["use std::sync::Arc;", "/// As std::time has it.", "#![no_std]", "let stdin = asynchronous;"]
    {
        assert!(worldly(source).is_empty(), "{source}");
    }
}

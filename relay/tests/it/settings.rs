//! Flags, variables and the file.

use crate::support::{Plain, Setup, Subscriber};
use std::path::PathBuf;
use std::process::Output;

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn everything_wrong_is_said_at_once() {
    let path = file("wrong.toml", "listen = 'nowhere'\nspeed = 'high'\n[bus]\nx = 1\n");
    let output = Setup::bare()
        .flags(&["--replay=5556", "--topic=", "--replay-bytes=-1", "--config", path.to_str().unwrap()])
        .env("ATOMWIRE_DEV", "perhaps")
        .env("OTEL_TRACES_EXPORTER", "fax")
        .env("OTEL_TRACES_SAMPLER_ARG", "2")
        .env("OTEL_TRACES_SAMPLER", "traceidratio")
        .env("OTEL_RESOURCE_ATTRIBUTES", "no pair")
        .run()
        .await;
    assert_eq!(output.status.code(), Some(64));
    let said = stderr(&output);
    let path = path.display();
    for named in [
        &format!("{path}: listen: \"nowhere\""),
        &format!("{path}: bus:"),
        &format!("{path}: no setting is named \"speed\""),
        "--replay: \"5556\"",
        "--topic: ",
        "--replay-bytes: \"-1\" is not a number of bytes",
        "ATOMWIRE_DEV: \"perhaps\"",
        "OTEL_TRACES_EXPORTER: \"fax\"",
        "OTEL_TRACES_SAMPLER_ARG: \"2\"",
        "OTEL_RESOURCE_ATTRIBUTES: \"no pair\"",
    ] {
        assert!(said.contains(named), "{named:?} in {said}");
    }
    assert!(said.lines().all(|line| line.starts_with("atomwire-relay: ")), "{said}");
    assert_eq!(said.lines().count(), 10, "{said}");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    for (path, named) in [
        (PathBuf::from("/nowhere/atomwire.toml"), "No such file"),
        (file("broken.toml", "listen = "), "TOML"),
    ] {
        let output = Setup::bare().env("ATOMWIRE_CONFIG", path.to_str().unwrap()).run().await;
        assert_eq!(output.status.code(), Some(64));
        let said = stderr(&output);
        assert!(said.contains(path.to_str().unwrap()) && said.contains(named), "{said}");
    }
}

#[tokio::test]
async fn a_replay_window_that_no_machine_has() {
    let output = Setup::bare().env("ATOMWIRE_REPLAY_BYTES", "17179869185").run().await;
    assert_eq!(output.status.code(), Some(64));
    let said = stderr(&output);
    assert!(
        said.contains("ATOMWIRE_REPLAY_BYTES") && said.contains("it is 1048576 to 17179869184"),
        "{said}"
    );
}

#[tokio::test]
async fn a_flag_that_nobody_knows() {
    let output = Setup::bare().flags(&["--fast"]).run().await;
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("--fast"));
}

#[tokio::test]
async fn help_and_version_are_no_errors() {
    for (flag, word) in [("--help", "--listen"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let output = Setup::bare().flags(&[flag]).run().await;
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().contains(word));
    }
}

#[tokio::test]
async fn a_flag_wins_over_a_variable_and_that_over_the_file() {
    let path = file("topics.toml", "topic = 'from-file'\n");
    let setup = || Setup::new().env("ATOMWIRE_CONFIG", path.to_str().unwrap());
    for (setup, topic) in [
        (setup(), "from-file"),
        (setup().env("ATOMWIRE_TOPIC", "from-variable"), "from-variable"),
        (setup().env("ATOMWIRE_TOPIC", "from-variable").flags(&["--topic=from-flag"]), "from-flag"),
    ] {
        let relay = setup.start().await;
        let mut bus = Subscriber::connect(&relay, &["from-"]).await;
        Plain::connect(&relay).await.send(r#"{"key":"n","value":1}"#).await;
        assert_eq!(bus.next().await.topic, topic);
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_one_clear_line() {
    let relay = Setup::new().start().await;
    let cases = [
        ("--listen", relay.listen.to_string()),
        ("--bus", relay.bus.clone()),
        ("--replay", relay.replay.clone()),
        ("--dev-otlp-grpc", relay.listen.to_string()),
    ];
    for (flag, taken) in cases {
        let free = ["--listen=127.0.0.1:0", "--bus=tcp://127.0.0.1:*", "--replay=tcp://127.0.0.1:*", "--dev"];
        let free: Vec<_> = free.into_iter().filter(|it| !it.starts_with(&format!("{flag}="))).collect();
        let output = Setup::bare().flags(&free).flags(&[flag, &taken]).run().await;
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert_eq!(said.lines().count(), 1, "{said}");
        let line: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(line["message"], "the relay cannot run");
        let error = line["error"].as_str().unwrap();
        assert!(error.starts_with(&format!("cannot bind {flag} to {taken}: ")), "{error}");
    }
}
